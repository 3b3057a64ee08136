#include "pipeline/processor/message_record.h"

#include <charconv>

namespace triaged {
namespace {

constexpr std::string_view kKind = "triaged.message";
constexpr std::string_view kFrom = "triaged.message.from";
constexpr std::string_view kTo = "triaged.message.to";
constexpr std::string_view kCommand = "triaged.message.command";
constexpr std::string_view kActor = "triaged.message.actor";
constexpr std::string_view kReason = "triaged.message.reason";
constexpr std::string_view kText = "triaged.message.text";
constexpr std::string_view kNumber = "triaged.message.number";
constexpr std::string_view kSecond = "triaged.message.second";

constexpr std::string_view kNames[] = {
#define TRIAGED_X(id, name) name,
    TRIAGED_MESSAGES(TRIAGED_X)
#undef TRIAGED_X
};

bool ReadNumber(std::string_view text, int64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && *number >= 0;
}

bool ReadCase(std::string_view text, CaseId* id) {
  const auto read = ParseCaseId(text);
  if (read) *id = *read;
  return read.has_value();
}

// One header; false when its value is none. Others (an intake record's) are left for who asks for them.
bool ReadHeader(std::string_view name, std::string_view value, Message* message) {
  if (name == kFrom) return ReadCase(value, &message->from);
  if (name == kTo) return ReadCase(value, &message->to);
  if (name == kNumber) return ReadNumber(value, &message->number);
  if (name == kSecond) return ReadNumber(value, &message->second);
  if (name == kCommand) message->command_id = std::string(value);
  if (name == kActor) message->actor = std::string(value);
  if (name == kReason) message->reason = std::string(value);
  if (name == kText) message->text = std::string(value);
  return true;
}

}  // namespace

OutputRecord MessageRecord(Message message) {
  OutputRecord record;
  record.topic = OutputTopic::kCommands;
  record.partition = message.partition;
  record.key = message.kind == MessageKind::kAlert || message.kind == MessageKind::kFeedHeard ? message.text
                                                                                              : ToString(message.to);
  record.value = std::move(message.payload);
  record.headers = std::move(message.headers);
  const auto add = [&](std::string_view name, std::string value) {
    record.headers.push_back({std::string(name), std::move(value)});
  };
  add(kKind, std::string(kNames[static_cast<size_t>(message.kind)]));
  add(kFrom, ToString(message.from));
  add(kTo, ToString(message.to));
  add(kCommand, std::move(message.command_id));
  add(kActor, std::move(message.actor));
  add(kReason, std::move(message.reason));
  add(kText, std::move(message.text));
  add(kNumber, std::to_string(message.number));
  add(kSecond, std::to_string(message.second));
  return record;
}

std::optional<Result<Message>> ReadMessage(const InputRecord& input) {
  std::optional<std::string_view> kind;
  for (const auto& [name, value] : input.headers) {
    if (name == kKind) kind = value;
  }
  if (!kind) return std::nullopt;
  Message message;
  message.partition = input.partition;
  bool known = false;
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] != *kind) continue;
    message.kind = static_cast<MessageKind>(i);
    known = true;
  }
  if (!known) return Result<Message>(BadInput("there is no message '" + std::string(*kind) + "'"));
  for (const auto& [name, value] : input.headers) {
    if (!ReadHeader(name, value, &message)) {
      return Result<Message>(BadInput("header " + std::string(name) + " of a message cannot be '" + std::string(value) + "'"));
    }
  }
  message.payload = std::string(input.value.value_or(std::string_view()));
  return Result<Message>(std::move(message));
}

}  // namespace triaged
