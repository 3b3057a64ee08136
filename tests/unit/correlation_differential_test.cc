// Correlations in the pipeline against a plain recount: random sets of rules, correlations, aliases and chains over random
// alerts, late, early, repeated and without values, in one partition and in three. What is counted beside the case and
// what travels as signals must come out the same. TRIAGED_SEED repeats a run.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/replay.h"

namespace triaged {
namespace {

constexpr int64_t kStart = 1'772'438'400'000;  // 2026-03-02T08:00:00Z
const std::vector<std::string> kBase = {"ra", "rb", "rc"};
const std::vector<std::string> kGroupFields = {"host.name", "user.name", "event.module"};
const std::vector<std::string> kTypes = {"event_count", "value_count", "temporal",        "temporal_ordered",
                                         "value_sum",   "value_avg",   "value_percentile"};

using Fields = std::map<std::string, std::string>;

struct PlainAlert {
  std::string id;
  size_t base = 0;
  int64_t record_second = 0;
  int64_t event_second = 0;
  Fields fields;
};

struct Seen {
  int64_t at = 0;
  size_t position = 0;
  std::string value;
};

struct PlainWindow {
  std::vector<Seen> seen;  // in the order they came
  bool held = false;
  int64_t keep_until = -1'000'000;
};

struct PlainCorrelation {
  std::string id, type;
  std::vector<std::string> rules;
  std::vector<std::string> group_by;                 // fields, or "who"
  std::map<std::string, std::string> who;            // the alias: rule → field
  int64_t span = 60;
  std::string bound;                                 // "" for the temporal types: all of them
  int64_t limit = 0;
  std::string value_field;
  bool generate = false;
  std::map<std::string, PlainWindow> windows;

  bool Counts() const { return type == "event_count" || type == "value_count" || type.starts_with("temporal"); }

  std::string Yaml() const {
    const auto list = [](const std::vector<std::string>& names) {
      std::string text;
      for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
      return "[" + text + "]";
    };
    std::string text = "---\ntitle: Correlation " + id + "\nid: " + id + "\ncorrelation:\n  type: " + type + "\n  rules: " +
                       list(rules) + "\n  timespan: " + std::to_string(span) + "s\n";
    if (!group_by.empty()) text += "  group-by: " + list(group_by) + "\n";
    if (generate) text += "  generate: true\n";
    if (!bound.empty()) {
      text += "  condition: {" + bound + ": " + std::to_string(limit);
      text += (value_field.empty() ? "" : ", field: " + value_field) + "}\n";
    }
    if (who.empty()) return text;
    text += "  aliases:\n    who:\n";
    for (const auto& [rule, field] : who) text += "      " + rule + ": " + field + "\n";
    return text;
  }
};

bool Satisfies(const std::string& bound, int64_t measured, int64_t limit) {
  return bound == "gt"    ? measured > limit
         : bound == "gte" ? measured >= limit
         : bound == "lt"  ? measured < limit
         : bound == "lte" ? measured <= limit
         : bound == "eq"  ? measured == limit
                          : measured != limit;
}

// The condition over what is in the window, counted from scratch.
bool Holds(const PlainCorrelation& c, std::vector<Seen> seen) {
  const std::string latest = seen.back().value;
  std::stable_sort(seen.begin(), seen.end(), [](const Seen& a, const Seen& b) { return a.at < b.at; });
  const auto count = static_cast<int64_t>(seen.size());
  int64_t sum = 0, same = 0, next = 0;
  std::set<std::string> values;
  std::set<size_t> positions;
  for (const Seen& one : seen) {
    if (!one.value.empty() && one.value.find_first_not_of("0123456789") == std::string::npos) sum += std::stoll(one.value);
    same += one.value == latest;
    values.insert(one.value);
    positions.insert(one.position);
    if (static_cast<int64_t>(one.position) == next) ++next;
  }
  const auto rules = static_cast<int64_t>(c.rules.size());
  if (c.type == "event_count") return Satisfies(c.bound, count, c.limit);
  if (c.type == "value_count") return Satisfies(c.bound, static_cast<int64_t>(values.size()), c.limit);
  if (c.type == "value_sum") return Satisfies(c.bound, sum, c.limit);
  if (c.type == "value_avg") return Satisfies(c.bound, sum, c.limit * count);
  if (c.type == "value_percentile") return Satisfies(c.bound, same * 100, c.limit * count);
  const int64_t found = c.type == "temporal" ? static_cast<int64_t>(positions.size()) : next;
  return c.bound.empty() ? found == rules : Satisfies(c.bound, found, c.limit);
}

class PlainSet {
 public:
  explicit PlainSet(std::mt19937_64* random) : random_(random) {
    const size_t first = 1 + Below(3);
    for (size_t i = 0; i < first; ++i) Add(RandomBase("c" + std::to_string(i)));
    for (size_t i = Below(3); i > 0; --i) Add(RandomChain("d" + std::to_string(i), first));
  }

  std::string Rules() const {
    std::string text;
    for (const std::string& rule : kBase) {
      text += "---\ntitle: Rule " + rule + "\nid: " + rule + "\ndetection: {s: {event.action: " + rule +
              "}, condition: s}\n";
    }
    for (const PlainCorrelation& one : correlations_) text += one.Yaml();
    return text;
  }

  // Everything that matches, as the pipeline reports it.
  std::set<std::string> Take(const PlainAlert& alert) {
    std::set<std::string> matched = {kBase[alert.base]};
    if (taken_.insert(alert.id).second) {
      // Each is counted after those it counts.
      for (PlainCorrelation& one : correlations_) {
        for (size_t position = 0; position < one.rules.size(); ++position) {
          if (matched.contains(one.rules[position]) && Count(&one, position, alert)) matched.insert(one.id);
        }
      }
    }
    std::erase_if(matched, [&](const std::string& id) { return OnlyServes(id); });
    return matched;
  }

 private:
  size_t Below(size_t n) { return static_cast<size_t>((*random_)() % n); }
  void Add(PlainCorrelation correlation) { correlations_.push_back(std::move(correlation)); }

  std::vector<std::string> Some(std::vector<std::string> from, size_t count) {
    std::shuffle(from.begin(), from.end(), *random_);
    from.resize(std::min(count, from.size()));
    return from;
  }

  PlainCorrelation RandomBase(const std::string& id) {
    PlainCorrelation c;
    c.id = id;
    c.type = kTypes[Below(kTypes.size())];
    c.rules = Some(kBase, 1 + Below(3));
    c.group_by = Some(kGroupFields, Below(3));
    if (Below(3) == 0) {
      c.group_by.push_back("who");
      for (const std::string& rule : c.rules) c.who[rule] = kGroupFields[Below(2)];
    }
    c.span = static_cast<int64_t>(30 + Below(200));
    c.generate = Below(3) == 0;
    const bool numbers = c.type == "value_sum" || c.type == "value_avg";
    if (c.type.starts_with("value")) c.value_field = numbers || Below(2) == 0 ? "event.code" : "user.name";
    if (c.type.starts_with("temporal") && Below(2) == 0) return c;
    const std::vector<std::string> bounds = {"gt", "gte", "gte", "gte", "lt", "lte", "eq", "neq"};
    c.bound = bounds[Below(bounds.size())];
    c.limit = c.type == "value_percentile" ? static_cast<int64_t>(Below(101)) : static_cast<int64_t>(1 + Below(4));
    return c;
  }

  // Counts what fires below it: of these no two at one alert, as the order of two is nobody's promise.
  PlainCorrelation RandomChain(const std::string& id, size_t below) {
    PlainCorrelation c;
    c.id = id;
    const std::vector<std::string> types = {"event_count", "value_count", "temporal"};
    c.type = types[Below(types.size())];
    std::vector<std::string> counted;
    for (size_t i = 0; i < below; ++i) counted.push_back(correlations_[i].id);
    c.rules = Some(counted, 1 + Below(2));
    if (c.rules.size() == 2 && Overlap(c.rules[0], c.rules[1])) c.rules.pop_back();
    c.group_by = Some(kGroupFields, Below(2));
    c.span = static_cast<int64_t>(60 + Below(600));
    c.generate = Below(2) == 0;
    if (c.type == "value_count") c.value_field = "user.name";
    if (c.type == "temporal") return c;
    c.bound = "gte";
    c.limit = static_cast<int64_t>(1 + Below(3));
    return c;
  }

  bool Overlap(const std::string& one, const std::string& other) const {
    const auto rules_of = [&](const std::string& id) -> const std::vector<std::string>& {
      return std::find_if(correlations_.begin(), correlations_.end(), [&](const auto& c) { return c.id == id; })->rules;
    };
    return std::any_of(rules_of(one).begin(), rules_of(one).end(), [&](const std::string& rule) {
      return std::find(rules_of(other).begin(), rules_of(other).end(), rule) != rules_of(other).end();
    });
  }

  bool OnlyServes(const std::string& id) const {
    bool counted = false, generated = false;
    for (const PlainCorrelation& one : correlations_) {
      if (std::find(one.rules.begin(), one.rules.end(), id) == one.rules.end()) continue;
      counted = true;
      generated = generated || one.generate;
    }
    return counted && !generated;
  }

  static std::string ValueOf(const PlainAlert& alert, const std::string& field) {
    const auto at = alert.fields.find(field);
    return at == alert.fields.end() ? "" : at->second;
  }

  // Whether it fires.
  static bool Count(PlainCorrelation* c, size_t position, const PlainAlert& alert) {
    std::string key;
    for (const std::string& name : c->group_by) {
      std::string value = ValueOf(alert, name == "who" ? c->who.at(c->rules[position]) : name);
      if (value.empty()) return false;
      for (char& letter : value) letter = static_cast<char>(std::tolower(letter));
      key += "/" + value;
    }
    const int64_t now = alert.record_second;
    const int64_t at = std::min(alert.event_second, now);
    const std::string value = c->value_field.empty() ? "" : ValueOf(alert, c->value_field);
    PlainWindow& window = c->windows[key];
    if (window.keep_until <= now) window = PlainWindow{};
    if (!c->value_field.empty() && value.empty()) return false;
    int64_t newest = -1'000'000;
    for (const Seen& one : window.seen) newest = std::max(newest, one.at);
    if (at <= newest - c->span) return false;
    if (newest <= at - c->span) window.held = false;
    newest = std::max(newest, at);
    std::erase_if(window.seen, [&](const Seen& one) { return one.at <= newest - c->span; });
    window.seen.push_back({at, position, value});
    window.keep_until = std::max(window.keep_until, std::max(now, newest) + c->span);
    const bool holds = Holds(*c, window.seen);
    return !std::exchange(window.held, holds) && holds;
  }

  std::mt19937_64* random_;
  std::vector<PlainCorrelation> correlations_;  // each after those it counts
  std::set<std::string> taken_;
};

// Alerts of minutes, most of them about few hosts and users.
std::vector<PlainAlert> RandomAlerts(std::mt19937_64* random, size_t count) {
  const auto below = [&](size_t n) { return static_cast<int64_t>((*random)() % n); };
  std::vector<PlainAlert> alerts;
  int64_t second = 0;
  for (size_t i = 0; i < count; ++i) {
    second += below(3) == 0 ? below(90) : below(5);
    if (!alerts.empty() && below(10) == 0) {
      alerts.push_back(alerts[static_cast<size_t>(below(alerts.size()))]);
      alerts.back().record_second = second;
      continue;
    }
    PlainAlert alert{"a" + std::to_string(i), static_cast<size_t>(below(3)), second, second, {}};
    if (below(3) == 0) alert.event_second -= below(120);
    if (below(20) == 0) alert.event_second += below(1000);
    const auto put = [&](const std::string& field, const std::vector<std::string>& values) {
      if (below(10) > 0) alert.fields[field] = values[static_cast<size_t>(below(values.size()))];
    };
    put("host.name", {"db7", "web1", "DB7"});
    put("user.name", {"ann", "bob", "Ann"});
    put("event.module", {"vpn", "mail"});
    put("event.code", {"0", "1", "2", "5"});
    alerts.push_back(std::move(alert));
  }
  return alerts;
}

std::string Json(const PlainAlert& alert) {
  nlohmann::json json = {{"ecs.version", "8.11.0"}, {"event.kind", "alert"}, {"event.id", alert.id},
                         {"event.action", kBase[alert.base]}, {"rule.name", "login"},
                         {"@timestamp", FormatTimestamp(FromUnixMillis(kStart + alert.event_second * 1000))}};
  for (const auto& [field, value] : alert.fields) json[field] = value;
  return json.dump();
}

std::shared_ptr<const Engine> EngineOf(const std::string& rules) {
  Diagnostics diagnostics;
  static const std::vector<SourceFile> formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
  static const std::vector<SourceFile> policies =
      ReadSources({TRIAGED_SOURCE_DIR "/configs/policies/soc-tiered.yaml"}, &diagnostics);
  EngineSources sources;
  sources.formats = formats;
  sources.policies = policies;
  sources.rules = {{"rules.yaml", rules}};
  auto engine = CompileEngine(sources, NormaliseLimits{}, &diagnostics);
  REQUIRE_MESSAGE(engine != nullptr, diagnostics.Render() << rules);
  return engine;
}

std::string Listed(const std::set<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) text += " " + id;
  return text;
}

TEST_CASE("correlation: the pipeline agrees with a plain recount, beside the case and through signals") {
  const char* given = std::getenv("TRIAGED_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  MESSAGE("TRIAGED_SEED=" << seed);
  size_t fired = 0;
  for (uint64_t round = 0; round < 60; ++round) {
    for (const int32_t partitions : {1, 3}) {
      std::mt19937_64 random(seed + round);
      PlainSet plain(&random);
      const std::string rules = plain.Rules();
      const auto engine = EngineOf(rules);
      Replay replay(engine, "test", partitions);
      REQUIRE(replay.Open().ok());
      for (const PlainAlert& alert : RandomAlerts(&random, 80)) {
        const Timestamp at = FromUnixMillis(kStart + alert.record_second * 1000);
        REQUIRE(replay.AdvanceTo(at).ok());
        replay.TakeMatched();
        REQUIRE(replay.TakeAlert(Json(alert), at).ok());
        const std::set<std::string> found = replay.TakeMatched();
        const std::set<std::string> expected = plain.Take(alert);
        INFO("TRIAGED_SEED=" << seed + round << ", " << partitions << " partitions: engine" << Listed(found) << ", plain"
                             << Listed(expected) << "\n" << Json(alert) << " at " << alert.record_second << rules);
        REQUIRE(found == expected);
        for (const std::string& id : expected) fired += id.starts_with("c") || id.starts_with("d");
      }
    }
  }
  CHECK(fired > 200);  // the generator must not be blind
}

}  // namespace
}  // namespace triaged
