#include "pipeline/report/handoff_view.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "pipeline/report/json_reading.h"
#include "pipeline/report/words.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

// What one document says, with its language and zone.
class Reader {
 public:
  Reader(const Json& document, const ViewStyle& style)
      : document_(document), data_(At(document, "data")), style_(style) {
    zone_ = style.zone.empty() ? Text(At(At(data_, "five_ws"), "when"), "zone") : style.zone;
    if (zone_.empty()) zone_ = "UTC";
  }

  Timestamp now() const { return Time(document_, "time").value_or(Timestamp{}); }
  const Json& data() const { return data_; }
  std::string Shown(Timestamp t) const { return ShownTime(t, zone_, style_.language); }
  std::string ShownOr(const Json& json, std::string_view key, const std::string& otherwise) const {
    const auto at = Time(json, key);
    return at ? Shown(*at) : Say(otherwise);
  }
  std::string Say(const std::string& name) const { return Worded(name, style_.language); }
  std::string Or(const std::string& text, const std::string& otherwise) const {
    return text.empty() ? Say(otherwise) : text;
  }

  std::string Values(std::string_view w, std::string_view group) const {
    std::string out;
    for (const Json& seen : At(At(At(data_, "five_ws"), w), group)) {
      const std::string value = Text(seen, "value");
      if (!value.empty()) out += (out.empty() ? "" : ja() ? "、" : ", ") + value;
    }
    return Or(out, "unknown");
  }

  std::string Title() const {
    const Json& what = At(At(data_, "five_ws"), "what");
    for (const char* group : {"detections", "messages", "actions"}) {
      const Json& seen = At(what, group);
      if (seen.is_array() && !seen.empty()) return Text(seen.front(), "value");
    }
    return Text(data_, "key");
  }

  std::string Summary() const {
    const Json& counts = At(data_, "counts");
    const std::string alerts = Text(counts, "alerts"), hosts = Text(At(counts, "hosts"), "count"),
                      users = Text(At(counts, "users"), "count");
    const std::string first = ShownOr(data_, "first_seen", "unknown"), last = ShownOr(data_, "last_seen", "unknown");
    if (ja()) {
      return "アラート " + alerts + " 件（ホスト " + hosts + " 台、アカウント " + users + " 件）。初回は " + first +
             "、最終は " + last + " です。";
    }
    return "Alerts: " + alerts + " (hosts: " + hosts + ", accounts: " + users + "), first at " + first + ", last at " +
           last + ".";
  }

  Json Entries() const {
    Json list = Json::array();
    for (const Json& entry : At(data_, "timeline")) {
      list.push_back({{"at", ShownOr(entry, "at", "unknown")},
                      {"by", Text(entry, "by")},
                      {"what", Say(Text(entry, "what"))},
                      {"text", SayText(entry)}});
    }
    return list;
  }

  // What the engine itself wrote into the timeline, with times as people read them; in Japanese in its word order. What
  // people wrote stays as it is.
  std::string SayText(const Json& entry) const {
    const std::string what = Text(entry, "what");
    std::string text = Text(entry, "text");
    if (what == "note" || what == "status_updated") return text;
    std::string due;
    if (const size_t at = text.rfind(" due "); at != std::string::npos) {
      if (const auto time = ParseTimestamp(text.substr(at + 5))) {
        due = ja() ? "（期限：" + Shown(*time) + "）" : " due " + Shown(*time);
        text.resize(at);
      }
    }
    if (!ja()) return text + due;
    const bool moves = what == "escalated" || what == "deescalated";
    const size_t colon = text.find(": ");
    if (moves && text.starts_with("to ") && colon != std::string::npos) {
      return text.substr(3, colon - 3) + " へ：" + Say(text.substr(colon + 2));
    }
    const size_t by = text.rfind(" by rule ");
    if (by != std::string::npos) return Say(text.substr(0, by)) + "（ルール：" + text.substr(by + 9) + "）";
    if (what == "opened" && text.starts_with("by ")) return text.substr(3);
    return Say(text) + due;
  }

  Json Escalations() const {
    Json list = Json::array();
    for (const Json& record : At(data_, "escalations")) {
      list.push_back({{"at", ShownOr(record, "at", "unknown")},
                      {"from", Text(At(record, "from"), "name")},
                      {"to", Text(At(record, "to"), "name")},
                      {"reason", Say(Text(record, "reason"))},
                      {"requested", Or(Text(record, "requested"), "none")}});
    }
    return list;
  }

  Json FollowUps(bool open_only) const {
    Json list = Json::array();
    for (const Json& item : At(data_, "follow_ups")) {
      const bool done = Time(item, "done").has_value();
      if (done && open_only) continue;
      list.push_back({{"name", Text(item, "name")},
                      {"text", Or(Text(item, "text"), Text(item, "name"))},
                      {"due", ShownOr(item, "due", "none")},
                      {"state", Say(done ? "done" : "pending")}});
    }
    return list;
  }

  Json Deadlines() const {
    Json list = Json::array();
    const Json& clocks = At(data_, "clocks");
    if (!clocks.is_object()) return list;
    for (const auto& [name, clock] : clocks.items()) {
      if (Text(clock, "state") != "running") continue;
      list.push_back({{"clock", Say(name)}, {"due", ShownOr(clock, "due", "none")}});
    }
    return list;
  }

  Json Roles(bool with_owner) const {
    Json list = Json::array();
    const std::string owner = Text(data_, "assignee");
    if (with_owner && !owner.empty()) list.push_back({{"name", Text(At(data_, "level"), "name")}, {"person", owner}});
    for (const Json& role : At(data_, "roles")) {
      list.push_back({{"name", Text(role, "name")},
                      {"person", Or(Text(role, "person"), "nobody")},
                      {"reason", Or(Text(role, "reason"), "none")}});
    }
    return list;
  }

  bool ja() const { return style_.language == Language::kJapanese; }

 private:
  const Json& document_;
  const Json& data_;
  const ViewStyle& style_;
  std::string zone_;
};

bool Open(const Json& data) {
  const std::string status = Text(data, "status");
  return status != "resolved" && status != "closed";
}

// Something of one case at an instant; sorted by instant, then case and text.
using Dated = std::tuple<Timestamp, std::string, std::string, Json>;

Json Sorted(std::vector<Dated> entries) {
  std::stable_sort(entries.begin(), entries.end(), [](const Dated& a, const Dated& b) {
    return std::tie(std::get<0>(a), std::get<1>(a), std::get<2>(a)) <
           std::tie(std::get<0>(b), std::get<1>(b), std::get<2>(b));
  });
  Json list = Json::array();
  for (Dated& entry : entries) list.push_back(std::move(std::get<3>(entry)));
  return list;
}

void AddDue(const Reader& reader, Timestamp until, std::vector<Dated>* due) {
  const std::string id = Text(reader.data(), "case_id");
  const auto add = [&](std::optional<Timestamp> at, const std::string& what) {
    if (!at || *at >= until) return;
    due->emplace_back(*at, id, what, Json{{"due", reader.Shown(*at)}, {"case_id", id}, {"what", what}});
  };
  const Json& clocks = At(reader.data(), "clocks");
  if (clocks.is_object()) {
    for (const auto& [name, clock] : clocks.items()) {
      if (Text(clock, "state") == "running") add(Time(clock, "due"), reader.Say(name));
    }
  }
  for (const Json& level : At(reader.data(), "level_due")) add(Time(level, "due"), Text(At(level, "level"), "name"));
  for (const Json& item : At(reader.data(), "follow_ups")) {
    if (!Time(item, "done")) add(Time(item, "due"), reader.Or(Text(item, "text"), Text(item, "name")));
  }
}

}  // namespace

Json HandoffView(const Json& document, const ViewStyle& style) {
  const Reader reader(document, style);
  const Json& data = reader.data();
  const Timestamp now = reader.now();
  const Timestamp opened = Time(data, "opened_at").value_or(now);
  const Timestamp ended = Time(data, "resolved_at").value_or(Time(data, "closed_at").value_or(now));
  Json view;
  view["case_id"] = Text(data, "case_id");
  view["title"] = reader.Title();
  view["drill"] = At(data, "drill") == true;
  view["severity"] = Text(data, "severity");
  view["status"] = reader.Say(Text(data, "status"));
  view["policy"] = Text(data, "policy");
  view["level"] = Text(At(data, "level"), "name");
  view["team"] = reader.Or(Text(data, "team"), "none");
  view["assignee"] = reader.Or(Text(data, "assignee"), "nobody");
  view["verdict"] = reader.Say(reader.Or(Text(At(data, "verdict"), "name"), "none"));
  view["verdict_reason"] = Text(At(data, "verdict"), "reason");
  view["classification"] = reader.Or(Text(data, "classification"), "none");
  view["now"] = reader.Shown(now);
  view["detected"] = reader.ShownOr(data, "first_seen", "unknown");
  view["opened"] = reader.ShownOr(data, "opened_at", "unknown");
  view["updated"] = reader.ShownOr(data, "updated_at", "unknown");
  view["resolved"] = reader.ShownOr(data, "resolved_at", "not yet");
  view["duration"] = ShownSpan(ended - opened, style.language);
  view["resolution"] = reader.Or(Text(data, "resolution"), "none");
  const Json& update = At(At(data, "clocks"), "next_update");
  view["next_update"] = reader.ShownOr(Text(update, "state") == "running" ? update : Json(), "due", "not yet");
  view["alerts"] = Text(At(data, "counts"), "alerts");
  view["summary"] = reader.Summary();
  view["hosts"] = reader.Values("where", "hosts");
  view["accounts"] = reader.Values("who", "accounts");
  view["detections"] = reader.Values("what", "detections");
  view["escalation_count"] = Text(data, "escalation_count");
  view["requested"] = At(data, "requested").is_array() ? At(data, "requested") : Json::array();
  view["deadlines"] = reader.Deadlines();
  view["escalations"] = reader.Escalations();
  view["follow_ups"] = reader.FollowUps(/*open_only=*/false);
  view["open_follow_ups"] = reader.FollowUps(/*open_only=*/true);
  view["roles"] = reader.Roles(/*with_owner=*/false);
  view["people"] = reader.Roles(/*with_owner=*/true);
  view["actions"] = reader.Entries();
  return view;
}

Json ShiftView(const std::vector<Json>& documents, Timestamp from, Timestamp to, const ViewStyle& style) {
  const std::string zone = style.zone.empty() ? "UTC" : style.zone;
  const ViewStyle fixed{style.language, zone};
  std::map<std::pair<int64_t, std::string>, Json, std::greater<>> levels;
  std::vector<Dated> due, happened;
  for (const Json& document : documents) {
    const Reader reader(document, fixed);
    const Json& data = reader.data();
    if (At(data, "drill") == true) continue;
    const std::string id = Text(data, "case_id");
    if (Open(data)) {
      const Json& level = At(data, "level");
      const int64_t index = At(level, "index").is_number_integer() ? At(level, "index").get<int64_t>() : 0;
      levels[{index, Text(level, "name")}].push_back({{"case_id", id},
                                                      {"severity", Text(data, "severity")},
                                                      {"title", reader.Title()},
                                                      {"status", reader.Say(Text(data, "status"))},
                                                      {"assignee", reader.Or(Text(data, "assignee"), "nobody")}});
    }
    AddDue(reader, to + (to - from), &due);
    for (const Json& entry : At(data, "timeline")) {
      const auto at = Time(entry, "at");
      if (!at || *at < from || *at >= to) continue;
      happened.emplace_back(*at, id, std::string(),
                            Json{{"at", reader.Shown(*at)},
                                 {"case_id", id},
                                 {"what", reader.Say(Text(entry, "what"))},
                                 {"by", Text(entry, "by")},
                                 {"text", reader.SayText(entry)}});
    }
  }
  Json view;
  view["from"] = ShownTime(from, zone, style.language);
  view["to"] = ShownTime(to, zone, style.language);
  view["levels"] = Json::array();
  for (auto& [level, cases] : levels) {
    view["levels"].push_back({{"level", level.second}, {"count", cases.size()}, {"cases", cases}});
  }
  view["due"] = Sorted(std::move(due));
  view["happened"] = Sorted(std::move(happened));
  return view;
}

}  // namespace triaged
