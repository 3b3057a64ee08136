#include "pipeline/report/review.h"

#include <algorithm>
#include <map>

#include "pipeline/base/zone.h"
#include "pipeline/report/json_reading.h"
#include "pipeline/report/review_measures.h"
#include "pipeline/report/words.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;
using Counts = std::map<std::string, int64_t>;
constexpr size_t kListed = 15;         // entries of a list that people read
constexpr int64_t kNoisyPercent = 50;  // closed as false positives: a rule to look at …
constexpr int64_t kNoisyCases = 2;     // … when it was more than one case

int64_t Number(const Json& json, std::string_view key) {
  const Json& value = At(json, key);
  return value.is_number_integer() ? value.get<int64_t>() : 0;
}

Json Ranked(const Counts& counts) {
  std::vector<std::pair<std::string, int64_t>> order(counts.begin(), counts.end());
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  Json list = Json::array();
  for (const auto& [name, count] : order) {
    if (list.size() == kListed) break;
    list.push_back({{"name", name}, {"count", count}});
  }
  return list;
}

struct Rate {
  int64_t cases = 0, escalated = 0;
};
struct Sla {
  int64_t watched = 0, at_risk = 0, breached = 0;
};
struct RuleLoad {
  std::string title;
  int64_t hits = 0, cases = 0, false_positives = 0;
};

class Slice {
 public:
  Slice(const ReviewOptions& options, Zone zone) : options_(options), zone_(zone), measures_(options) {}

  void Take(const Json& data);
  Json View(Timestamp from, Timestamp to);

 private:
  void TakeEscalations(const Json& data, Timestamp opened);
  void TakeClocks(const Json& data);
  void TakeRules(const Json& data);
  void Look(const std::string& id, const std::string& en, const std::string& ja) {
    review_.push_back({{"case_id", id}, {"what", options_.language == Language::kJapanese ? ja : en}});
  }
  // Of "2026-03-01".
  std::string DayName(const std::string& day) const {
    if (options_.language == Language::kEnglish) return day;
    const std::string shown = ShownTime(ParseTimestamp(day + "T00:00:00Z").value_or(Timestamp{}), "UTC", options_.language);
    return shown.substr(0, shown.find(' '));
  }
  std::string Span(std::optional<Duration> span) const { return span ? ShownSpan(*span, options_.language) : "-"; }
  void TimesOf(Json* view);
  void RulesOf(Json* view);

  const ReviewOptions& options_;
  Zone zone_;
  int64_t cases_ = 0, closed_ = 0, drills_ = 0, alerts_ = 0, reopened_ = 0, nobody_ = 0;
  std::map<std::pair<std::string, std::string>, Rate> rates_;  // by policy and severity
  Counts causes_, tactics_, techniques_, keys_, shifts_, days_;
  std::map<std::string, Sla> sla_;
  std::map<std::string, RuleLoad> rules_;
  std::vector<Duration> to_escalate_, to_acknowledge_, resolve_escalated_, resolve_other_;
  ReviewMeasures measures_;
  Json review_ = Json::array();
};

void Slice::Take(const Json& data) {
  const Timestamp opened = Time(data, "opened_at").value_or(Timestamp{});
  if (At(data, "drill") == true) {
    ++drills_;
    return;
  }
  ++cases_;
  alerts_ += Number(At(data, "counts"), "alerts");
  closed_ += Text(data, "status") == "closed";
  ++keys_[Text(data, "key")];
  for (const Json& tactic : At(data, "tactics")) ++tactics_[tactic.get<std::string>()];
  for (const Json& technique : At(data, "techniques")) ++techniques_[technique.get<std::string>()];
  const std::string local = zone_.Format(opened);  // 2026-11-21 05:08:00 CET
  ++days_[local.substr(0, 10)];
  const std::string hour = local.substr(11, 2);
  ++shifts_[hour < "08" ? "00:00-08:00" : hour < "16" ? "08:00-16:00" : "16:00-24:00"];
  const std::string id = Text(data, "case_id");
  if (Number(data, "reopen_count") > 0) {
    ++reopened_;
    Look(id, "reopened", "再開された");
  }
  TakeEscalations(data, opened);
  TakeClocks(data);
  TakeRules(data);
  measures_.Take(data);
  for (const Json& item : At(data, "follow_ups")) {
    if (At(item, "overdue") == true && !Time(item, "done")) {
      Look(id, "follow-up overdue: " + Text(item, "name"), "フォローアップの期限切れ：" + Text(item, "name"));
    }
  }
}

void Slice::TakeEscalations(const Json& data, Timestamp opened) {
  const Json& records = At(data, "escalations");
  const bool escalated = Number(data, "escalation_count") > 0;
  Rate& rate = rates_[{Text(data, "policy"), Text(data, "severity")}];
  ++rate.cases;
  rate.escalated += escalated;
  if (records.is_array() && !records.empty()) {
    if (const auto at = Time(records.front(), "at")) to_escalate_.push_back(*at - opened);
  }
  for (const Json& record : records) {
    ++causes_[Worded(Text(record, "reason"), options_.language)];
    if (At(record, "nobody_on_shift") == true) {
      ++nobody_;
      Look(Text(data, "case_id"), "nobody was on shift", "シフトに誰もいなかった");
    }
  }
  if (const auto resolved = Time(data, "resolved_at")) {
    (escalated ? resolve_escalated_ : resolve_other_).push_back(*resolved - opened);
  }
}

void Slice::TakeClocks(const Json& data) {
  const Json& clocks = At(data, "clocks");
  if (clocks.is_object()) {
    for (const auto& [name, clock] : clocks.items()) {
      if (!Time(clock, "started")) continue;
      Sla& sla = sla_[name];
      ++sla.watched;
      sla.at_risk += At(clock, "at_risk") == true;
      if (At(clock, "breached") != true) continue;
      ++sla.breached;
      Look(Text(data, "case_id"), "deadline missed: " + name, "期限超過：" + Worded(name, options_.language));
    }
  }
  const auto opened = Time(data, "opened_at"), acknowledged = Time(data, "acknowledged_at");
  if (opened && acknowledged) to_acknowledge_.push_back(*acknowledged - *opened);
}

void Slice::TakeRules(const Json& data) {
  const bool false_positive = Text(At(data, "verdict"), "name") == "false_positive";
  for (const Json& vote : At(At(data, "verdict"), "rules")) {
    RuleLoad& rule = rules_[Text(vote, "id")];
    rule.title = Text(vote, "title");
    rule.hits += Number(vote, "hits");
    ++rule.cases;
    rule.false_positives += false_positive;
  }
}

void Slice::TimesOf(Json* view) {
  Json rates = Json::array();
  for (const auto& [key, rate] : rates_) {
    rates.push_back({{"policy", key.first},
                     {"severity", key.second},
                     {"cases", rate.cases},
                     {"escalated", rate.escalated},
                     {"percent", PercentOf(rate.escalated, rate.cases)}});
  }
  (*view)["rates"] = rates;
  (*view)["median_to_acknowledge"] = Span(MedianOf(to_acknowledge_));
  (*view)["median_to_escalate"] = Span(MedianOf(to_escalate_));
  (*view)["median_to_resolve_escalated"] = Span(MedianOf(resolve_escalated_));
  (*view)["median_to_resolve_other"] = Span(MedianOf(resolve_other_));
  measures_.Show(view, &review_);
}

void Slice::RulesOf(Json* view) {
  std::vector<std::pair<std::string, RuleLoad>> order(rules_.begin(), rules_.end());
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.second.hits > b.second.hits; });
  Json list = Json::array();
  for (const auto& [id, rule] : order) {
    const bool noisy = rule.false_positives >= kNoisyCases && rule.false_positives * 100 >= kNoisyPercent * rule.cases;
    if (noisy) Look("-", "noisy rule: " + rule.title, "誤検知の多いルール：" + rule.title);
    if (list.size() == kListed) continue;
    list.push_back({{"id", id},
                    {"name", rule.title},
                    {"count", rule.hits},
                    {"cases", rule.cases},
                    {"false_positives", rule.false_positives},
                    {"percent", PercentOf(rule.false_positives, rule.cases)}});
  }
  (*view)["rules"] = list;
}

Json Slice::View(Timestamp from, Timestamp to) {
  Json view;
  view["from"] = ShownTime(from, options_.zone, options_.language);
  view["to"] = ShownTime(to, options_.zone, options_.language);
  view["cases"] = cases_;
  view["closed"] = closed_;
  view["alerts"] = alerts_;
  view["reopened"] = reopened_;
  view["nobody_on_shift"] = nobody_;
  view["drills"] = drills_;
  TimesOf(&view);
  Json sla = Json::array();
  for (const auto& [name, counts] : sla_) {
    sla.push_back({{"clock", Worded(name, options_.language)},
                   {"watched", counts.watched},
                   {"at_risk", counts.at_risk},
                   {"breached", counts.breached},
                   {"kept_percent", PercentOf(counts.watched - counts.breached, counts.watched)}});
  }
  view["sla"] = sla;
  view["causes"] = Ranked(causes_);
  view["tactics"] = Ranked(tactics_);
  view["techniques"] = Ranked(techniques_);
  Counts repeated;
  for (const auto& [key, count] : keys_) {
    if (count > 1) repeated[key] = count;
  }
  view["repeated"] = Ranked(repeated);
  RulesOf(&view);
  view["shifts"] = Json::array();
  for (const char* shift : {"00:00-08:00", "08:00-16:00", "16:00-24:00"}) {
    view["shifts"].push_back({{"name", shift}, {"count", shifts_[shift]}});
  }
  view["days"] = Json::array();
  for (const auto& [day, count] : days_) view["days"].push_back({{"name", DayName(day)}, {"count", count}});
  view["review"] = review_;
  return view;
}

std::string Plot(const std::string& title, const Json& bars) {
  constexpr int64_t kBar = 22, kLabel = 260, kWidth = 360;
  int64_t most = 1;
  for (const Json& bar : bars) most = std::max(most, Number(bar, "count"));
  const int64_t height = static_cast<int64_t>(bars.size()) * kBar + 30;
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"700\" height=\"" +
                    std::to_string(height) + "\"><title>" + EscapeFor(TextStyle::kHtml, title) +
                    "</title><text x=\"0\" y=\"16\" font-weight=\"bold\">" + EscapeFor(TextStyle::kHtml, title) + "</text>";
  int64_t y = 26;
  for (const Json& bar : bars) {
    const std::string line = std::to_string(y + 15);
    const int64_t width = Number(bar, "count") * kWidth / most;
    std::string name = Text(bar, "name");
    std::string label;
    for (size_t at = 0; at < name.size() && DisplayWidth(label) < 34;) {
      size_t length = 1;
      while (at + length < name.size() && (static_cast<unsigned char>(name[at + length]) & 0xC0) == 0x80) ++length;
      label.append(name, at, length);
      at += length;
    }
    if (label.size() < name.size()) label += "…";
    svg += "<text x=\"0\" y=\"" + line + "\">" + EscapeFor(TextStyle::kHtml, label) + "</text><rect x=\"" +
           std::to_string(kLabel) + "\" y=\"" + std::to_string(y) + "\" width=\"" + std::to_string(width) +
           "\" height=\"16\" fill=\"#3b6ea5\"/><text x=\"" + std::to_string(kLabel + width + 6) + "\" y=\"" + line +
           "\">" + std::to_string(Number(bar, "count")) + "</text>";
    y += kBar;
  }
  return svg + "</svg>";
}

}  // namespace

std::vector<std::pair<Timestamp, Timestamp>> ReviewSlices(const ReviewOptions& options) {
  auto zone = Zone::Find(options.zone);
  if (!zone) zone = Zone::Find("UTC");
  std::vector<std::pair<Timestamp, Timestamp>> slices;
  Timestamp begin = options.from;
  while (begin < options.to) {
    Timestamp end = options.to;
    if (options.period != ReviewPeriod::kWhole) {
      const std::chrono::year_month_day day(zone->DayOf(begin));
      const unsigned month = static_cast<unsigned>(day.month());
      const unsigned ahead = options.period == ReviewPeriod::kMonth ? 1 : 3 - (month - 1) % 3;
      const auto next = day.year() / day.month() / std::chrono::day(1) + std::chrono::months(ahead);
      end = std::min(end, zone->At(std::chrono::sys_days(next), std::chrono::minutes(0)).first);
    }
    slices.emplace_back(begin, end);
    begin = end;
  }
  return slices;
}

Json ReviewView(const std::vector<Json>& documents, const ReviewOptions& options) {
  auto zone = Zone::Find(options.zone);
  if (!zone) zone = Zone::Find("UTC");
  Json view;
  view["from"] = ShownTime(options.from, options.zone, options.language);
  view["to"] = ShownTime(options.to, options.zone, options.language);
  view["zone"] = options.zone;
  view["periods"] = Json::array();
  for (const auto& [from, to] : ReviewSlices(options)) {
    Slice slice(options, *zone);
    for (const Json& document : documents) {
      const Json& data = At(document, "data");
      const auto opened = Time(data, "opened_at");
      if (opened && *opened >= from && *opened < to) slice.Take(data);
    }
    view["periods"].push_back(slice.View(from, to));
  }
  return view;
}

void AddPlots(Json* view, Language language) {
  const bool ja = language == Language::kJapanese;
  for (Json& period : (*view)["periods"]) {
    std::string svg = Plot(ja ? "日別のケース数" : "Cases by day", period["days"]);
    svg += Plot(ja ? "時間帯別のケース数" : "Cases by shift", period["shifts"]);
    svg += Plot(ja ? "エスカレーションの理由" : "Reasons of escalations", period["causes"]);
    svg += Plot(ja ? "ルール別のヒット数" : "Hits by rule", period["rules"]);
    period["svg"] = svg;
  }
}

}  // namespace triaged
