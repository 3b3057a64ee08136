#include "pipeline/notify/render.h"

#include <algorithm>
#include <cctype>
#include <tuple>

#include "pipeline/base/hash.h"
#include "pipeline/base/utf8.h"
#include "pipeline/notify/acknowledge.h"
#include "pipeline/report/base64.h"
#include "pipeline/report/case_parts.h"
#include "pipeline/report/json_writer.h"
#include "pipeline/report/template_text.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kPagerDutySummary = 1024, kPagerDutyBytes = 512'000;
constexpr size_t kSlackHeader = 150, kSlackSection = 3000, kSlackButtons = 25, kSlackButtonText = 75;
constexpr size_t kSubject = 200;
constexpr Duration kAlertmanagerActive{24 * 3600'000};

constexpr std::string_view kTitleEn =
    "{{#drill}}[DRILL] {{/drill}}{{severity}} case {{case_id}}: {{event}} at {{level}}{{#more}} (+{{more}} more){{/more}}";
constexpr std::string_view kTitleJa =
    "{{#drill}}[訓練] {{/drill}}ケース {{case_id}}（{{severity}}）: {{level}} {{event}}{{#more}}（他 {{more}} 件）{{/more}}";
constexpr std::string_view kBodyEn =
    "{{#cases}}Case {{case_id}} · {{severity}} · {{event}} · level {{level}}, team {{team}}, assignee {{assignee}}\n"
    "What: {{detections}}\nWhere: {{hosts}}\nWho: {{accounts}}\nWhy: {{reason}} ({{alerts}} alerts)\n"
    "{{#requested}}Requested: {{requested}}\n{{/requested}}"
    "{{#ack_url}}Acknowledge: {{{ack_url}}}\n{{/ack_url}}{{/cases}}";
constexpr std::string_view kBodyJa =
    "{{#cases}}ケース {{case_id}} · {{severity}} · {{event}} · レベル {{level}}、チーム {{team}}、担当 {{assignee}}\n"
    "何が: {{detections}}\nどこで: {{hosts}}\n誰が: {{accounts}}\n理由: {{reason}}（アラート {{alerts}} 件）\n"
    "{{#requested}}依頼: {{requested}}\n{{/requested}}"
    "{{#ack_url}}確認: {{{ack_url}}}\n{{/ack_url}}{{/cases}}";

bool Wordy(char ch) { return std::isalnum(static_cast<unsigned char>(ch)) || (ch & 0x80); }

// Control characters would forge lines; a template's own line breaks are not in here.
std::string Clean(std::string_view text) {
  std::string out = Defang(SanitiseUtf8(text));
  for (char& ch : out) {
    if (static_cast<unsigned char>(ch) < 0x20 || ch == 0x7f) ch = ' ';
  }
  return out;
}

std::string Join(const std::vector<std::string>& values) {
  std::string out;
  for (const std::string& value : values) out += (out.empty() ? "" : ", ") + Clean(value);
  return out.empty() ? "–" : out;
}

std::string OrDash(const std::string& text) { return text.empty() ? "–" : Clean(text); }

std::string SlackEscape(const std::string& text) {
  std::string out;
  for (char ch : text) {
    if (ch == '&') {
      out += "&amp;";
    } else if (ch == '<') {
      out += "&lt;";
    } else if (ch == '>') {
      out += "&gt;";
    } else {
      out += ch;
    }
  }
  return out;
}

Json View(const NotifyItem& item) {
  const NotifyEvent& event = *item.event;
  Json view;
  view["case_id"] = Clean(event.case_id);
  view["event"] = Clean(event.name);
  view["severity"] = OrDash(event.severity);
  view["level"] = OrDash(event.level);
  view["team"] = OrDash(event.team);
  view["policy"] = OrDash(event.policy);
  view["assignee"] = OrDash(event.assignee);
  view["status"] = OrDash(event.status);
  view["reason"] = OrDash(event.reason);
  view["actor"] = OrDash(event.actor);
  view["alerts"] = std::to_string(event.alerts);
  view["hosts"] = Join(event.hosts);
  view["accounts"] = Join(event.accounts);
  view["detections"] = Join(event.detections);
  view["dedup_key"] = Clean(event.dedup_key);
  if (event.drill) view["drill"] = true;
  if (!event.requested.empty()) view["requested"] = Join(event.requested);
  if (!item.ack_url.empty()) view["ack_url"] = item.ack_url;
  return view;
}

std::string RenderTemplate(const std::string& text, const std::vector<NotifyItem>& items, DestinationKind kind) {
  Json view = View(items.front());
  if (items.size() > 1) view["more"] = std::to_string(items.size() - 1);
  view["cases"] = Json::array();
  for (const NotifyItem& item : items) view["cases"].push_back(View(item));
  return RenderMustache(text, view, [kind](const std::string& value) {
    return kind == DestinationKind::kSlack ? SlackEscape(value) : value;
  });
}

std::string_view ActionName(NotifyAction action) {
  switch (action) {
    case NotifyAction::kTrigger: return "trigger";
    case NotifyAction::kAcknowledge: return "acknowledge";
    case NotifyAction::kResolve: return "resolve";
  }
  return "";
}

// PagerDuty knows four; a policy's own names fall to the middle.
std::string_view PagerDutySeverity(std::string_view severity) {
  if (severity == "critical") return "critical";
  if (severity == "high") return "error";
  if (severity == "low" || severity == "info" || severity == "informational") return "info";
  return "warning";
}

// What RememberAs wrote.
struct Told {
  std::string severity, level, team;
  std::vector<std::string> others;  // levels
};

Told ReadTold(std::string_view text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  lines.resize(std::max<size_t>(lines.size(), 3));
  return {lines[0], lines[1], lines[2], {lines.begin() + 3, lines.end()}};
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string IncidentKey(const NotifyEvent& event, const std::string& level) {
  return JoinedKey(event.dedup_key, ":" + level);
}

// An incident about many cases has a key of its own: an acknowledgement of one of them must not silence the others.
std::string TriggerKey(const std::vector<NotifyItem>& items) {
  const NotifyEvent& first = *items.front().event;
  if (items.size() == 1) return IncidentKey(first, OneLine(first.level));
  return "bundle:" + std::to_string(StableHash64(first.id));
}

// The keys of the incidents that one job is about.
std::vector<std::string> IncidentKeys(const std::vector<NotifyItem>& items) {
  const NotifyItem& first = items.front();
  if (first.action == NotifyAction::kTrigger) return {TriggerKey(items)};
  const Told told = ReadTold(first.told);
  std::vector<std::string> keys = {IncidentKey(*first.event, told.level)};
  for (const std::string& level : told.others) keys.push_back(IncidentKey(*first.event, level));
  return keys;
}

// `text`: with the rendered body, too. The cases are named in any case.
std::string PagerDuty(const Destination& d, const std::vector<NotifyItem>& items, const std::string& key, bool text) {
  const NotifyItem& first = items.front();
  JsonWriter out;
  out.Object({}, [&] {
    out.String("routing_key", d.secret);
    out.String("event_action", ActionName(first.action));
    out.String("dedup_key", key);
    if (first.action != NotifyAction::kTrigger) return;
    out.String("client", "triaged");
    if (items.size() == 1 && !first.ack_url.empty()) {
      out.Array("links", [&] {
        out.Object({}, [&] {
          out.String("href", first.ack_url);
          out.String("text", d.language == "ja" ? "確認" : "Acknowledge");
        });
      });
    }
    out.Object("payload", [&] {
      out.String("summary", CutAtCodePoint(RenderTemplate(d.title, items, d.kind), kPagerDutySummary));
      out.String("source", first.event->hosts.empty() ? "triaged" : Clean(first.event->hosts.front()));
      out.String("severity", PagerDutySeverity(first.event->severity));
      out.String("timestamp", FormatTimestamp(first.event->time));
      out.String("component", "case " + first.event->case_id);
      out.String("group", first.event->team);
      out.String("class", first.event->name);
      out.Object("custom_details", [&] {
        if (text) out.String("text", RenderTemplate(d.body, items, d.kind));
        out.Array("cases", [&] {
          for (const NotifyItem& item : items) out.String({}, item.event->case_id);
        });
      });
    });
  });
  return out.Finish();
}

// Cuts escaped text, and not within an escape.
std::string_view CutEscaped(std::string_view text, size_t max) {
  if (text.size() <= max) return text;
  text = CutAtCodePoint(text, max);
  const size_t escape = text.rfind('&');
  return escape != text.npos && text.find(';', escape) == text.npos ? text.substr(0, escape) : text;
}

void SlackText(std::string_view block, std::string_view kind, std::string_view text, JsonWriter* out) {
  out->Object({}, [&] {
    out->String("type", block);
    out->Object("text", [&] {
      out->String("type", kind);
      out->String("text", text);
    });
  });
}

// Every case is named, even where the text of all of them does not fit.
void SlackNames(const std::vector<NotifyItem>& items, JsonWriter* out) {
  std::string names;
  for (const NotifyItem& item : items) {
    const std::string name = SlackEscape(Clean(item.event->case_id));
    if (!names.empty() && names.size() + name.size() + 1 > kSlackSection) {
      SlackText("section", "mrkdwn", names, out);
      names.clear();
    }
    names += (names.empty() ? "" : " ") + name;
  }
  SlackText("section", "mrkdwn", CutEscaped(names, kSlackSection), out);
}

void SlackButtons(const Destination& d, const std::vector<NotifyItem>& items, JsonWriter* out) {
  if (items.front().ack_token.empty()) return;
  out->Object({}, [&] {
    out->String("type", "actions");
    out->Array("elements", [&] {
      for (size_t i = 0; i < items.size() && i < kSlackButtons; ++i) {
        out->Object({}, [&] {
          out->String("type", "button");
          out->String("action_id", std::string(kSlackAckAction) + "_" + std::to_string(i));
          out->String("value", items[i].ack_token);
          out->Object("text", [&] {
            out->String("type", "plain_text");
            const std::string word = d.language == "ja" ? "確認 " : "Acknowledge ";
            out->String("text", CutAtCodePoint(word + items[i].event->case_id, kSlackButtonText));
          });
        });
      }
    });
  });
}

std::string Slack(const Destination& d, const std::vector<NotifyItem>& items) {
  const std::string title = RenderTemplate(d.title, items, d.kind);
  const std::string body = RenderTemplate(d.body, items, d.kind);
  JsonWriter out;
  out.Object({}, [&] {
    out.String("text", title);
    out.Bool("unfurl_links", false);
    out.Bool("unfurl_media", false);
    out.Array("blocks", [&] {
      SlackText("header", "plain_text", CutEscaped(title, kSlackHeader), &out);
      SlackText("section", "mrkdwn", CutEscaped(body, kSlackSection), &out);
      if (body.size() > kSlackSection) SlackNames(items, &out);
      SlackButtons(d, items, &out);
    });
  });
  return out.Finish();
}

void WriteAlert(const NotifyItem& item, const Told& told, bool active, const Destination& d, Timestamp now,
                JsonWriter* out) {
  const NotifyEvent& event = *item.event;
  out->Object({}, [&] {
    out->Object("labels", [&] {
      out->String("alertname", "TriagedEscalation");
      out->String("case_id", event.case_id);
      out->String("dedup_key", event.dedup_key);
      out->String("policy", event.policy);
      out->String("drill", event.drill ? "true" : "false");
      out->String("severity", told.severity);
      out->String("level", told.level);
      out->String("team", told.team);
    });
    out->Object("annotations", [&] {
      const std::vector<NotifyItem> alone = {item};
      out->String("summary", RenderTemplate(d.title, alone, d.kind));
      out->String("description", RenderTemplate(d.body, alone, d.kind));
      out->String("event_id", event.id);
    });
    if (active) out->String("startsAt", FormatTimestamp(std::min(event.time, now)));
    out->String("endsAt", FormatTimestamp(active ? now + kAlertmanagerActive : now));
  });
}

// Alertmanager tells alerts apart by all labels: when severity, level or team have changed, the alert with the old ones
// ends in the same request.
std::string Alertmanager(const Destination& d, const std::vector<NotifyItem>& items, Timestamp now) {
  JsonWriter out;
  out.Array({}, [&] {
    for (const NotifyItem& item : items) {
      const Told before = ReadTold(item.told), current = ReadTold(RememberAs(*item.event, item.told));
      const bool active = item.action == NotifyAction::kTrigger;
      const bool same = std::tie(before.severity, before.level, before.team) ==
                        std::tie(current.severity, current.level, current.team);
      if (!item.told.empty() && !(active && same)) WriteAlert(item, before, false, d, now, &out);
      if (active) WriteAlert(item, current, true, d, now, &out);
    }
  });
  return out.Finish();
}

NotifyPayload Webhook(const std::vector<NotifyItem>& items) {
  if (items.size() == 1) return {"application/cloudevents+json; charset=UTF-8", items.front().event->raw};
  std::string body = "[";
  for (const NotifyItem& item : items) body += (body.size() > 1 ? "," : "") + item.event->raw;
  return {"application/cloudevents-batch+json; charset=UTF-8", body + "]"};
}

// RFC 5322 with a base64 body; the subject in encoded words of at most 75 characters (RFC 2047).
std::string Mail(const Destination& d, const std::vector<NotifyItem>& items, Timestamp now) {
  const NotifyEvent& event = *items.front().event;
  const std::string title = RenderTemplate(d.title, items, d.kind);
  std::string_view rest = CutAtCodePoint(title, kSubject);
  std::string subject;
  while (!rest.empty()) {
    const std::string_view part = CutAtCodePoint(rest, 42);
    subject += (subject.empty() ? "" : "\r\n ") + ("=?UTF-8?B?" + Base64(part) + "?=");
    rest.remove_prefix(part.size());
  }
  std::string to;
  for (const std::string& address : d.to) to += (to.empty() ? "" : ", ") + address;
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(now - day));
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  char when[64];
  std::snprintf(when, sizeof when, "%02u %s %d %02d:%02d:%02d +0000", static_cast<unsigned>(date.day()),
                kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  std::string text = "Date: " + std::string(when) + "\r\nFrom: " + d.from + "\r\nTo: " + to + "\r\nSubject: " + subject +
                     "\r\nMessage-ID: <" + std::to_string(StableHash64(event.id + d.name)) +
                     "@triaged>\r\nReferences: <" + std::to_string(StableHash64(event.dedup_key)) +
                     "@triaged>\r\nAuto-Submitted: auto-generated\r\nX-Triaged-Event: " + Clean(event.id) +
                     "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n"
                     "Content-Transfer-Encoding: base64\r\n\r\n";
  const std::string body = Base64(RenderTemplate(d.body, items, d.kind));
  for (size_t at = 0; at < body.size(); at += 76) text += body.substr(at, 76) + "\r\n";
  return text;
}

}  // namespace

std::vector<NotifyPayload> RenderPayloads(const Destination& d, const std::vector<NotifyItem>& items, Timestamp now) {
  switch (d.kind) {
    case DestinationKind::kAlertmanager: return {{"application/json", Alertmanager(d, items, now)}};
    case DestinationKind::kSlack: return {{"application/json", Slack(d, items)}};
    case DestinationKind::kMail: return {{"message/rfc822", Mail(d, items, now)}};
    case DestinationKind::kPagerDuty: {
      std::vector<NotifyPayload> payloads;
      for (const std::string& key : IncidentKeys(items)) {
        std::string body = PagerDuty(d, items, key, /*text=*/true);
        if (body.size() > kPagerDutyBytes) body = PagerDuty(d, items, key, /*text=*/false);
        payloads.push_back({"application/json", std::move(body)});
      }
      return payloads;
    }
    case DestinationKind::kWebhook:
    case DestinationKind::kCommand: return {Webhook(items)};
  }
  return {};
}

size_t RequestsOf(const Destination& d, const std::vector<NotifyItem>& items) {
  return d.kind == DestinationKind::kPagerDuty ? IncidentKeys(items).size() : 1;
}

std::string RememberAs(const NotifyEvent& event, const std::string& told) {
  const std::string level = OneLine(event.level);
  std::string text = OneLine(event.severity) + "\n" + level + "\n" + OneLine(event.team);
  if (told.empty()) return text;
  Told before = ReadTold(told);
  before.others.insert(before.others.begin(), before.level);
  for (const std::string& other : before.others) {
    if (other != level) text += "\n" + other;
  }
  return text;
}

std::string_view DefaultTitle(std::string_view language) { return language == "ja" ? kTitleJa : kTitleEn; }
std::string_view DefaultBody(std::string_view language) { return language == "ja" ? kBodyJa : kBodyEn; }

std::string Defang(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("http://") || text.substr(i).starts_with("https://")) {
      out += "hxxp";
      i += 3;
    } else if (text[i] == '.' && i > 0 && i + 1 < text.size() && Wordy(text[i - 1]) && Wordy(text[i + 1])) {
      out += "[.]";
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace triaged
