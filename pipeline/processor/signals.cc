#include "pipeline/processor/signals.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "pipeline/base/hash.h"
#include "pipeline/base/utf8.h"
#include "pipeline/report/json_writer.h"

namespace triaged {
namespace {

constexpr std::string_view kKind = "triaged.signal";
constexpr std::string_view kCorrelation = "triaged.correlation";
constexpr std::string_view kMatchKind = "match";
constexpr std::string_view kDerivedKind = "alert";

// What a derived alert says itself.
constexpr std::array<std::string_view, 9> kOwnFields = {"ecs.version", "@timestamp", "event.id",
                                                        "event.kind",  "rule.id",    "rule.name",
                                                        "message",     "tags",       "event.severity"};

std::string_view HeaderOf(const InputRecord& input, std::string_view name) {
  for (const auto& [key, value] : input.headers) {
    if (key == name) return value;
  }
  return {};
}

// Sigma levels on the scale of event.severity; the middles of the bands of triaged.severity.
int ScoreOf(std::string_view level) {
  if (level == "critical") return 99;
  if (level == "high") return 73;
  if (level == "low") return 21;
  return level == "informational" ? 1 : 47;
}

OutputRecord SignalRecord(std::string_view kind, std::string key, std::string value, int32_t partitions) {
  OutputRecord record;
  record.topic = OutputTopic::kSignals;
  record.partition = PartitionForKey(key, partitions);
  record.key = std::move(key);
  record.value = std::move(value);
  record.headers = {{std::string(kKind), std::string(kind)}};
  return record;
}

}  // namespace

SignalKind KindOf(const InputRecord& input) {
  const std::string_view kind = HeaderOf(input, kKind);
  if (kind == kMatchKind && input.key && input.value) return SignalKind::kMatch;
  if (kind == kDerivedKind && input.key && input.value) return SignalKind::kDerived;
  return SignalKind::kForeign;
}

OutputRecord MatchRecord(const SignalMatch& match, std::string key, int32_t partitions) {
  JsonWriter json;
  json.Object({}, [&] {
    json.String("correlation", match.correlation);
    json.Unsigned("position", match.position);
    json.Int("at", ToUnixMillis(match.at));
    json.String("value", match.value);
    json.Object("fields", [&] {
      for (const auto& [name, value] : match.fields) json.String(name, value);
    });
  });
  return SignalRecord(kMatchKind, std::move(key), json.Finish(), partitions);
}

std::optional<SignalMatch> ReadMatch(const InputRecord& input) {
  const auto json = nlohmann::json::parse(*input.value, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const auto text = [&](const char* name, std::string* out) {
    const auto at = json.find(name);
    if (at == json.end() || !at->is_string()) return false;
    *out = at->get<std::string>();
    return true;
  };
  SignalMatch match;
  const auto position = json.find("position");
  const auto at = json.find("at");
  const auto fields = json.find("fields");
  const bool whole = text("correlation", &match.correlation) && text("value", &match.value) && position != json.end() &&
                     position->is_number_unsigned() && at != json.end() && at->is_number_integer() &&
                     fields != json.end() && fields->is_object() &&
                     position->get<uint64_t>() < rules::kMaxCorrelatedRules;
  if (!whole) return std::nullopt;
  match.position = position->get<uint32_t>();
  match.at = FromUnixMillis(at->get<int64_t>());
  for (const auto& [name, value] : fields->items()) {
    if (!value.is_string()) return std::nullopt;
    match.fields.emplace_back(name, value.get<std::string>());
  }
  return match;
}

std::string DerivedAlert(const Rule& correlation, const SignalMatch& match, const std::string& id) {
  std::string message = correlation.title;
  for (const auto& [name, value] : match.fields) message += (message == correlation.title ? ": " : ", ") + name + "=" + value;
  JsonWriter json;
  json.Object({}, [&] {
    json.String("ecs.version", "8.11.0");
    json.String("@timestamp", FormatTimestamp(match.at));
    json.String("event.id", id);
    json.String("event.kind", "alert");
    json.Int("event.severity", ScoreOf(correlation.level));
    json.String("rule.id", correlation.id);
    json.String("rule.name", correlation.title);
    json.String("message", CutAtCodePoint(message, kMaxSignalValueBytes));
    json.Array("tags", [&] {
      for (const std::string& tag : correlation.tags) json.String({}, tag);
    });
    for (const auto& [name, value] : match.fields) {
      if (std::find(kOwnFields.begin(), kOwnFields.end(), name) == kOwnFields.end()) json.String(name, value);
    }
  });
  return json.Finish();
}

OutputRecord DerivedRecord(const Rule& correlation, std::string json, std::string case_key, int32_t partitions) {
  OutputRecord record = SignalRecord(kDerivedKind, std::move(case_key), std::move(json), partitions);
  record.headers.push_back({std::string(kCorrelation), correlation.id});
  return record;
}

bool IsDerivedFrom(const InputRecord& input, std::string_view correlation) {
  return std::any_of(input.headers.begin(), input.headers.end(), [&](const auto& header) {
    return header.first == kCorrelation && header.second == correlation;
  });
}

void AddCorrelationHeaders(const std::vector<std::string_view>& fired, bool derived, std::vector<Header>* headers) {
  for (const std::string_view id : fired) headers->push_back({std::string(kCorrelation), std::string(id)});
  if (derived) headers->push_back({std::string(kKind), std::string(kDerivedKind)});
}

}  // namespace triaged
