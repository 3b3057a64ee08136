#include "daemon/worker_alerts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "pipeline/base/check.h"
#include "pipeline/report/report.h"

namespace triaged {
namespace {

constexpr size_t kMaxRefusedBytes = 64 * 1024;
constexpr int kMetadataVersion = 1;

}  // namespace

std::string EncodeBalance(const Balance& balance) {
  nlohmann::ordered_json json;
  json["v"] = kMetadataVersion;
  json["consumed"] = balance.consumed;
  for (size_t i = 0; i < kAlertOutcomeCount; ++i) {
    if (balance.outcomes[i] > 0) json[std::string(Name(static_cast<AlertOutcome>(i)))] = balance.outcomes[i];
  }
  return json.dump();
}

std::optional<Balance> DecodeBalance(std::string_view metadata) {
  const auto json = nlohmann::json::parse(metadata, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const auto number = [&](const std::string& name) -> uint64_t {
    const auto at = json.find(name);
    return at != json.end() && at->is_number_unsigned() ? at->get<uint64_t>() : 0;
  };
  if (number("v") != static_cast<uint64_t>(kMetadataVersion)) return std::nullopt;
  Balance balance;
  balance.consumed = number("consumed");
  for (size_t i = 0; i < kAlertOutcomeCount; ++i) {
    balance.outcomes[i] = number(std::string(Name(static_cast<AlertOutcome>(i))));
  }
  if (!balance.Adds()) return std::nullopt;
  return balance;
}

AlertSources::AlertSources(ProcessorOptions options, std::shared_ptr<const Engine> engine)
    : intake_(std::move(options), std::move(engine)) {}

void AlertSources::SetEngine(std::shared_ptr<const Engine> engine) { intake_.SetEngine(std::move(engine)); }

void AlertSources::Reset(const std::vector<TopicPartition>& assigned) {
  for (const auto& [where, source] : sources_) {
    if (source.next) known_[where] = *source.next;
  }
  sources_.clear();
  last_ = sources_.end();
  refused_.clear();
  facts_ = {};
  for (const TopicPartition& source : assigned) sources_.emplace(source, Source{});
}

std::vector<TopicPartition> AlertSources::Unresolved() const {
  std::vector<TopicPartition> unresolved;
  for (const auto& [where, source] : sources_) {
    if (!source.next) unresolved.push_back(where);
  }
  return unresolved;
}

std::vector<TopicPartition> AlertSources::Due(Duration now) const {
  std::vector<TopicPartition> due;
  for (const auto& [where, source] : sources_) {
    if (!source.next && source.ask_at <= now) due.push_back(where);
  }
  std::stable_sort(due.begin(), due.end(), [&](const TopicPartition& a, const TopicPartition& b) {
    return sources_.at(a).ask_at < sources_.at(b).ask_at;
  });
  return due;
}

void AlertSources::AskLater(const TopicPartition& source, Duration now, Duration least, Duration most) {
  const auto at = sources_.find(source);
  if (at == sources_.end()) return;
  at->second.backoff = std::clamp(at->second.backoff * 2, least, most);
  at->second.ask_at = now + at->second.backoff;
}

int64_t AlertSources::Known(const TopicPartition& source) const {
  const auto at = known_.find(source);
  return at != known_.end() ? at->second : 0;
}

void AlertSources::Resolve(const TopicPartition& source, int64_t next, const Balance& balance, bool first_sight) {
  const auto at = sources_.find(source);
  TRIAGED_CHECK(at != sources_.end() && next >= 0);
  at->second.next = at->second.staged_next = next;
  at->second.balance = balance;
  at->second.first_sight = at->second.moved = first_sight;
}

std::vector<PartitionOffset> AlertSources::NextOffsets() const {
  std::vector<PartitionOffset> offsets;
  for (const auto& [where, source] : sources_) {
    if (source.next) offsets.push_back({where, source.staged_next, {}});
  }
  return offsets;
}

bool AlertSources::Take(const InputRecord& input, std::vector<OutputRecord>* outputs) {
  if (last_ == sources_.end() || last_->first.partition != input.partition || last_->first.topic != input.topic) {
    last_ = sources_.find({std::string(input.topic), input.partition});
  }
  if (last_ == sources_.end()) return false;
  const TopicPartition& where = last_->first;
  Source& source = last_->second;
  if (!source.next || input.offset < source.staged_next) return false;
  StepFacts facts;
  const auto refused = refused_.empty() ? refused_.end() : refused_.find({where, input.offset});
  if (refused != refused_.end()) {
    OutputRecord letter = DeadLetterRecord(input, "too_large", refused->second, "intake");
    if (letter.value && letter.value->size() > kMaxRefusedBytes) {
      letter.headers.push_back({"triaged.error.cut", std::to_string(letter.value->size())});
      letter.value->resize(kMaxRefusedBytes);
    }
    outputs->push_back(std::move(letter));
    facts.dead_letters.push_back({"too_large", where.topic, refused->second, where.partition, input.offset});
    ++facts.balance.consumed;
    ++facts.balance.outcomes[static_cast<size_t>(AlertOutcome::kDeadLettered)];
  } else {
    intake_.Take(input, outputs, &facts);
  }
  TRIAGED_CHECK(facts.balance.consumed >= 1 && facts.balance.Adds());
  source.staged.Add(facts.balance);
  source.staged_next = input.offset + 1;
  source.moved = true;
  facts_.balance.Add(facts.balance);
  facts_.dead_letters.insert(facts_.dead_letters.end(), std::make_move_iterator(facts.dead_letters.begin()),
                             std::make_move_iterator(facts.dead_letters.end()));
  return true;
}

void AlertSources::ReachEnd(const PartitionOffset& end) {
  const auto at = sources_.find(end.where);
  if (at == sources_.end() || !at->second.next || at->second.staged_next >= end.offset) return;
  at->second.staged_next = end.offset;
  at->second.past_markers = true;
}

bool AlertSources::past_markers() const {
  return std::any_of(sources_.begin(), sources_.end(), [](const auto& source) { return source.second.past_markers; });
}

void AlertSources::Refuse(const TopicPartition& source, int64_t offset, const std::string& message) {
  refused_[{source, offset}] = message;
}

std::vector<PartitionOffset> AlertSources::StagedOffsets() const {
  std::vector<PartitionOffset> offsets;
  for (const auto& [where, source] : sources_) {
    if (!source.moved && !source.past_markers) continue;
    Balance after = source.balance;
    after.Add(source.staged);
    offsets.push_back({where, source.staged_next, EncodeBalance(after)});
  }
  return offsets;
}

bool AlertSources::moved() const {
  return std::any_of(sources_.begin(), sources_.end(), [](const auto& source) { return source.second.moved; });
}

void AlertSources::Commit() {
  for (auto& [where, source] : sources_) {
    if (!source.moved && !source.past_markers) continue;
    source.next = source.staged_next;
    source.balance.Add(source.staged);
    source.staged = {};
    source.moved = source.first_sight = source.past_markers = false;
  }
  std::erase_if(refused_, [&](const auto& refused) {
    const auto at = sources_.find(refused.first.first);
    return at == sources_.end() || !at->second.next || refused.first.second < *at->second.next;
  });
  facts_ = {};
}

void AlertSources::Discard() {
  for (auto& [where, source] : sources_) {
    if (source.next) source.staged_next = *source.next;
    source.staged = {};
    source.moved = source.first_sight;
    source.past_markers = false;
  }
  facts_ = {};
}

}  // namespace triaged
