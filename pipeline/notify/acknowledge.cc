#include "pipeline/notify/acknowledge.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "pipeline/report/base64.h"

namespace triaged {
namespace {

using nlohmann::json;

constexpr std::string_view kVersion = "v1.";
constexpr size_t kMaxToken = 4096;
constexpr size_t kHashDigits = 64;

// The time it takes tells nothing of where the texts differ.
bool SameSecret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char differs = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    differs = static_cast<unsigned char>(differs | (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
  }
  return differs == 0;
}

std::string Base64Url(std::string_view bytes) {
  std::string out = Base64(bytes);
  while (out.ends_with('=')) out.pop_back();
  for (char& ch : out) ch = ch == '+' ? '-' : ch == '/' ? '_' : ch;
  return out;
}

std::optional<std::string> FromBase64Url(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (char ch : text) {
    uint32_t value = 0;
    if (ch >= 'A' && ch <= 'Z') {
      value = static_cast<uint32_t>(ch - 'A');
    } else if (ch >= 'a' && ch <= 'z') {
      value = static_cast<uint32_t>(ch - 'a') + 26;
    } else if (ch >= '0' && ch <= '9') {
      value = static_cast<uint32_t>(ch - '0') + 52;
    } else if (ch == '-' || ch == '_') {
      value = ch == '-' ? 62 : 63;
    } else {
      return std::nullopt;
    }
    bits = bits << 6 | value;
    count += 6;
    if (count >= 8) out += static_cast<char>(bits >> (count -= 8) & 0xff);
  }
  return out;
}

int HexDigit(char ch) {
  if (ch >= '0' && ch <= '9') return ch - '0';
  if (ch >= 'a' && ch <= 'f') return ch - 'a' + 10;
  return ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

std::optional<std::string> FormDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::string Text(const json& node, const json::json_pointer& path) {
  if (!node.contains(path)) return {};
  const json& found = node.at(path);
  return found.is_string() ? found.get<std::string>() : std::string();
}

bool Within(Timestamp time, Timestamp now, Duration tolerance) {
  return time <= now + tolerance && now <= time + tolerance;
}

}  // namespace

std::string MakeAckToken(const AckClaim& claim, const KeyedHash& hash) {
  const json fields = {claim.event_id,    claim.case_id,  claim.dedup_key, claim.sequence,
                       claim.destination, claim.assignee, ToUnixMillis(claim.expires)};
  const std::string signed_part =
      std::string(kVersion) + Base64Url(fields.dump(-1, ' ', true, json::error_handler_t::replace));
  return signed_part + "." + hash(signed_part);
}

Result<AckClaim> ReadAckToken(std::string_view token, const KeyedHash& hash, Timestamp now) {
  const size_t dot = token.rfind('.');
  if (token.size() > kMaxToken || !token.starts_with(kVersion) || dot == token.npos || dot < kVersion.size() ||
      token.size() - dot - 1 != kHashDigits) {
    return BadInput("this link is malformed: was it copied as a whole?");
  }
  const std::string_view signed_part = token.substr(0, dot);
  if (!SameSecret(hash(signed_part), token.substr(dot + 1))) return BadInput("this link was not made here: forged");
  const auto text = FromBase64Url(signed_part.substr(kVersion.size()));
  const json fields = json::parse(text.value_or(""), nullptr, /*allow_exceptions=*/false);
  bool fits = fields.is_array() && fields.size() == 7 && fields[6].is_number_integer();
  for (size_t i = 0; fits && i < 6; ++i) fits = fields[i].is_string();
  if (!fits) return BadInput("this link is malformed: made by another release?");
  AckClaim claim{fields[0], fields[1], fields[2], fields[3], fields[4], fields[5],
                 FromUnixMillis(fields[6].get<int64_t>())};
  if (now >= claim.expires) return BadInput("this link has expired: acknowledge the case in your tool");
  return claim;
}

Result<std::optional<PagerDutyAck>> ReadPagerDutyWebhook(std::string_view signatures, std::string_view body,
                                                         const KeyedHash& hash, Timestamp now, Duration tolerance) {
  const std::string wanted = "v1=" + hash(body);
  bool genuine = false;
  // Several while a secret is being replaced.
  while (!signatures.empty()) {
    const size_t comma = std::min(signatures.find(','), signatures.size());
    std::string_view one = signatures.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    genuine |= SameSecret(one, wanted);
    signatures.remove_prefix(std::min(comma + 1, signatures.size()));
  }
  if (!genuine) return BadInput("the signature is wrong");
  const json root = json::parse(body, nullptr, /*allow_exceptions=*/false);
  const auto at = [&](const char* path) { return Text(root, json::json_pointer(path)); };
  PagerDutyAck ack{at("/event/id"), at("/event/data/incident_key"), at("/event/agent/id"), at("/event/agent/summary")};
  const auto occurred = ParseTimestamp(at("/event/occurred_at"));
  if (ack.event_id.empty() || !occurred) return BadInput("the body is no v3 webhook: event.id, event.occurred_at");
  if (!Within(*occurred, now, tolerance)) return BadInput("event.occurred_at is too far from now");
  const bool acknowledged = at("/event/event_type") == "incident.acknowledged";
  if (!acknowledged || ack.incident_key.empty()) return std::optional<PagerDutyAck>();
  return std::optional<PagerDutyAck>(std::move(ack));
}

Result<std::optional<SlackAck>> ReadSlackInteraction(std::string_view timestamp, std::string_view signature,
                                                     std::string_view body, const KeyedHash& slack,
                                                     const KeyedHash& links, Timestamp now, Duration tolerance) {
  const std::string base = "v0:" + std::string(timestamp) + ":" + std::string(body);
  if (!SameSecret("v0=" + slack(base), signature)) return BadInput("the signature is wrong");
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(timestamp.data(), timestamp.data() + timestamp.size(), seconds);
  constexpr int64_t kLastSecond = 253'402'300'799;  // of the year 9999
  const bool read = error == std::errc() && end == timestamp.data() + timestamp.size();
  if (!read || seconds < 0 || seconds > kLastSecond || !Within(FromUnixMillis(seconds * 1000), now, tolerance)) {
    return BadInput("the request's time is too far from now");
  }
  const json root = json::parse(FormValue(body, "payload").value_or(""), nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return BadInput("the body has no payload in JSON");
  if (Text(root, json::json_pointer("/type")) != "block_actions") return std::optional<SlackAck>();
  const auto action_id = Text(root, json::json_pointer("/actions/0/action_id"));
  if (!action_id.starts_with(kSlackAckAction)) return std::optional<SlackAck>();
  auto claim = ReadAckToken(Text(root, json::json_pointer("/actions/0/value")), links, now);
  if (!claim) return claim.error();
  SlackAck ack{std::move(*claim), Text(root, json::json_pointer("/user/id")), Text(root, json::json_pointer("/user/username"))};
  if (ack.user_id.empty()) return BadInput("the payload names no user");
  return std::optional<SlackAck>(std::move(ack));
}

std::optional<std::string> FormValue(std::string_view body, std::string_view name) {
  while (!body.empty()) {
    const size_t end = std::min(body.find('&'), body.size());
    const std::string_view pair = body.substr(0, end);
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=') {
      return FormDecode(pair.substr(name.size() + 1));
    }
    body.remove_prefix(std::min(end + 1, body.size()));
  }
  return std::nullopt;
}

Result<Command> AckCommand(std::string id, std::string_view case_id, std::string actor, std::string role, Timestamp now) {
  const auto parsed = ParseCaseId(case_id);
  if (!parsed) return BadInput("'" + std::string(case_id) + "' is no case id");
  Command command;
  command.id = std::move(id);
  command.case_id = *parsed;
  command.actor = std::move(actor);
  command.role = std::move(role);
  command.time = now;
  command.action = CommandAction::kAck;
  // The strict reader is the one judge of what a command may hold.
  return ParseCommand(CommandJson(command));
}

std::optional<IncidentCase> CaseOfIncident(std::string_view incident_key, std::string_view application_id) {
  const size_t head = application_id.size();
  if (!incident_key.starts_with(application_id) || incident_key.size() <= head || incident_key[head] != ':') {
    return std::nullopt;
  }
  const size_t episode = incident_key.find(':', head + 1);
  if (episode == incident_key.npos) return std::nullopt;
  const std::string_view case_id = incident_key.substr(head + 1, episode - head - 1);
  if (!ParseCaseId(case_id)) return std::nullopt;
  return IncidentCase{std::string(case_id), std::string(incident_key.substr(0, incident_key.find(':', episode + 1)))};
}

}  // namespace triaged
