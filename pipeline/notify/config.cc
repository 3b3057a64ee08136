#include "pipeline/notify/config.h"

#include <algorithm>
#include <charconv>

#include "pipeline/notify/render.h"
#include "pipeline/report/template_text.h"

namespace triaged {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr std::string_view kDays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
const std::vector<std::string_view> kKinds = {"webhook", "alertmanager", "pagerduty", "slack", "mail", "command"};

const YamlNode& NodeOr(const YamlNode* node) {
  static const YamlNode empty;
  return node ? *node : empty;
}

// nullopt unless "HH:MM" up to 24:00.
std::optional<minutes> ParseClockTime(const std::string& text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  int hour = 0, minute = 0;
  const auto h = std::from_chars(text.data(), text.data() + 2, hour);
  const auto m = std::from_chars(text.data() + 3, text.data() + 5, minute);
  const bool read = h.ptr == text.data() + 2 && m.ptr == text.data() + 5 && h.ec == std::errc() && m.ec == std::errc();
  if (!read || minute > 59 || hour * 60 + minute > 24 * 60) return std::nullopt;
  return minutes(hour * 60 + minute);
}

std::string Secret(MapReader& reader, const std::string& key, const ReadSecret& read, bool required) {
  const std::string path = reader.String(key, {}, required);
  if (path.empty()) return {};
  auto secret = read(path);
  if (!secret) {
    reader.ErrorHere(secret.error().message, "`" + key + "` names a file that holds the value");
    return {};
  }
  while (!secret->empty() && (secret->back() == '\n' || secret->back() == '\r')) secret->pop_back();
  if (secret->empty() || secret->find_first_of("\r\n") != secret->npos) {
    reader.ErrorHere("the file of `" + key + "` must hold one line that is not empty");
  }
  return *secret;
}

void CheckUrl(MapReader& reader, const Destination& d) {
  if (d.kind == DestinationKind::kCommand || d.url.empty()) return;
  const bool mail = d.kind == DestinationKind::kMail;
  const bool fits = mail ? d.url.starts_with("smtp://") || d.url.starts_with("smtps://")
                         : d.url.starts_with("https://") || d.url.starts_with("http://");
  const bool clear = d.url.find('@') == d.url.npos && d.url.find_first_of(" \t\r\n") == d.url.npos;
  if (!fits || !clear) {
    reader.ErrorHere(std::string("the address must begin with ") + (mail ? "smtp:// or smtps://" : "https:// or http://") +
                         " and hold neither '@' nor a space",
                     "user and password have keys of their own");
  }
}

void ReadPlace(MapReader& reader, const ReadSecret& read, Destination* d) {
  using enum DestinationKind;
  if (d->kind == kCommand) {
    d->command = reader.Strings("command", /*required=*/true);
    return;
  }
  const bool secret_url = d->kind == kSlack || d->kind == kPagerDuty;
  if (reader.Has("url") == reader.Has("url_file") && !(d->kind == kPagerDuty && !reader.Has("url"))) {
    reader.ErrorHere("set either `url` or `url_file`, and not both");
  }
  d->url = reader.Has("url_file") ? Secret(reader, "url_file", read, true) : reader.String("url");
  if (d->kind == kPagerDuty && d->url.empty()) d->url = "https://events.pagerduty.com/v2/enqueue";
  if (secret_url || d->kind == kAlertmanager || d->kind == kWebhook) CheckUrl(reader, *d);
  if (d->kind == kWebhook) d->secret = Secret(reader, "secret_file", read, false);
  if (d->kind == kPagerDuty) d->secret = Secret(reader, "routing_key_file", read, true);
  if (d->kind == kMail) {
    CheckUrl(reader, *d);
    d->from = reader.String("from", {}, true);
    d->to = reader.Strings("to", true);
    d->user = reader.String("user");
    d->secret = Secret(reader, "password_file", read, !d->user.empty());
    for (const std::string& address : d->to) {
      if (address.find('@') == address.npos || address.find_first_of("<>\r\n ") != address.npos) {
        reader.ErrorHere("'" + address + "' is no mail address");
      }
    }
  }
}

Destination ReadDestination(MapReader& top, const std::string& name, const YamlNode& node, const ReadSecret& read) {
  MapReader reader(top.source(), node, "the destination " + name, top.diagnostics());
  Destination d;
  d.name = name;
  reader.Node("kind", /*required=*/true);
  d.kind = static_cast<DestinationKind>(reader.Choice("kind", kKinds, 0));
  ReadPlace(reader, read, &d);
  d.language = reader.Choice("language", {"en", "ja"}, 0) == 1 ? "ja" : "en";
  d.title = reader.String("title", std::string(DefaultTitle(d.language)));
  d.body = reader.String("body", std::string(DefaultBody(d.language)));
  for (const std::string& text : {d.title, d.body}) {
    if (const auto wrong = TemplateError(text)) reader.ErrorHere("template: " + *wrong);
  }
  d.ack_links = reader.Bool("ack_links", false);
  if (d.ack_links && (d.kind == DestinationKind::kWebhook || d.kind == DestinationKind::kCommand)) {
    reader.ErrorHere("`ack_links` needs a destination with a text: this kind gets the event as it is");
  }
  d.fallback = reader.String("fallback");
  d.ca_file = reader.String("ca_file");
  d.allow_private = reader.Bool("allow_private", false);
  d.timeout = reader.Interval("timeout", d.timeout, milliseconds(100), minutes(5));
  d.deadline = reader.Interval("deadline", d.deadline, milliseconds(100), hours(24));
  d.retry_min = reader.Interval("retry_min", d.retry_min, milliseconds(10), hours(1));
  d.retry_max = reader.Interval("retry_max", d.retry_max, d.retry_min, hours(1));
  // Slack takes about one message a second, PagerDuty 120 events a minute (their documentation).
  d.per_minute = reader.Int("per_minute", d.per_minute, 1, 1'000'000);
  d.bundle = reader.Int("bundle", d.kind == DestinationKind::kCommand ? 1 : d.bundle, 1, 500);
  if (d.kind == DestinationKind::kCommand && d.bundle != 1) reader.ErrorHere("a command takes one event: bundle: 1");
  d.breaker_failures = reader.Int("breaker_failures", d.breaker_failures, 1, 1000);
  d.breaker_pause = reader.Interval("breaker_pause", d.breaker_pause, milliseconds(10), hours(1));
  reader.Finish();
  return d;
}

std::optional<Hours> ReadHours(MapReader& route) {
  const YamlNode* node = route.Node("hours");
  if (!node) return std::nullopt;
  MapReader reader(route.source(), *node, "hours", route.diagnostics());
  Hours out;
  const std::string zone = reader.String("zone", "UTC");
  out.zone = Zone::Find(zone);
  if (!out.zone) reader.ErrorHere("unknown time zone '" + zone + "'", std::string(DidYouMean(zone, Zone::Names())));
  for (const std::string& day : reader.Strings("days", /*required=*/true)) {
    const auto at = std::find(std::begin(kDays), std::end(kDays), day);
    if (at == std::end(kDays)) {
      reader.ErrorHere("'" + day + "' is no day: sun, mon, tue, wed, thu, fri, sat");
    } else {
      out.days[static_cast<size_t>(at - std::begin(kDays))] = true;
    }
  }
  const auto from = ParseClockTime(reader.String("from", "00:00")), to = ParseClockTime(reader.String("to", "24:00"));
  if (!from || !to || *from >= *to) {
    reader.ErrorHere("`from` and `to` are \"HH:MM\", and `from` is earlier", "for a night write two routes");
  } else {
    out.from = *from, out.to = *to;
  }
  reader.Finish();
  return out;
}

Route ReadRoute(MapReader& top, const YamlNode& node, const NotifyConfig& config) {
  MapReader reader(top.source(), node, "the route", top.diagnostics());
  Route route;
  route.levels = reader.Strings("level");
  route.severities = reader.Strings("severity");
  route.teams = reader.Strings("team");
  route.policies = reader.Strings("policy");
  route.channels = reader.Strings("channel");
  if (reader.Has("event")) route.events = reader.Strings("event");
  route.drill = reader.Bool("drill", false);
  route.hours = ReadHours(reader);
  route.to = reader.Strings("to", /*required=*/true);
  route.go_on = reader.Bool("continue", false);
  for (const std::string& name : route.to) {
    if (!config.destinations.contains(name)) reader.ErrorHere("no destination is called '" + name + "'");
  }
  reader.Finish();
  return route;
}

// A fallback chain must end.
void CheckFallbacks(MapReader& top, const NotifyConfig& config) {
  for (const auto& [name, first] : config.destinations) {
    size_t hops = 0;
    for (const Destination* at = &first; !at->fallback.empty(); ++hops) {
      const auto next = config.destinations.find(at->fallback);
      if (next == config.destinations.end()) {
        top.ErrorHere("destination '" + at->name + "' falls back to '" + at->fallback + "', which is not there");
        break;
      }
      if (hops > config.destinations.size()) {
        top.ErrorHere("the fallbacks of destination '" + name + "' go round in a circle");
        break;
      }
      at = &next->second;
    }
  }
}

void ReadKafka(MapReader& top, const ReadSecret& read, NotifyConfig* config) {
  MapReader kafka(top.source(), NodeOr(top.Node("kafka", true)), "kafka", top.diagnostics());
  config->bootstrap_servers = kafka.String("bootstrap_servers", {}, true);
  config->group = kafka.String("group", config->group);
  config->topic = kafka.String("topic", config->topic);
  config->dead_letter_topic = kafka.String("dead_letter_topic", config->dead_letter_topic);
  for (const auto& entry : NodeOr(kafka.Node("properties")).map()) {
    if (!entry.value.IsScalar()) {
      kafka.ErrorAt(entry.value, "a librdkafka setting has one value");
    } else if (entry.key.ends_with("_file")) {
      auto secret = read(entry.value.scalar());
      if (!secret) kafka.ErrorAt(entry.value, secret.error().message);
      if (secret) config->properties[entry.key.substr(0, entry.key.size() - 5)] = secret->substr(0, secret->find('\n'));
    } else {
      config->properties[entry.key] = entry.value.scalar();
    }
  }
  kafka.Finish();
}

void CheckAcknowledge(MapReader& reader, const AcknowledgeConfig& ack) {
  constexpr size_t kShortestKey = 32;
  if (!ack.key.empty() && ack.key.size() < kShortestKey) {
    reader.ErrorHere("the key in `key_file` is shorter than 32 characters", "openssl rand -hex 32 makes one");
  }
  const bool web = ack.public_url.starts_with("https://") || ack.public_url.starts_with("http://");
  if (!ack.public_url.empty() && (!web || ack.public_url.ends_with('/') ||
                                  ack.public_url.find_first_of(" <>&\"'?#\r\n") != ack.public_url.npos)) {
    reader.ErrorHere("`public_url` is https://host or https://host/path, without '/' at its end, and without '?' or '#'");
  }
}

void ReadAcknowledge(MapReader& top, const ReadSecret& read, NotifyConfig* config) {
  const YamlNode* node = top.Node("acknowledge");
  for (const auto& [name, destination] : config->destinations) {
    if (destination.ack_links && !node) top.ErrorHere("destination '" + name + "' has ack_links: `acknowledge` is missing");
  }
  if (!node) return;
  MapReader reader(top.source(), *node, "acknowledge", top.diagnostics());
  AcknowledgeConfig ack;
  ack.listen_address = reader.String("listen_address", ack.listen_address);
  ack.public_url = reader.String("public_url", {}, true);
  ack.key = Secret(reader, "key_file", read, true);
  ack.pagerduty_secret = Secret(reader, "pagerduty_secret_file", read, false);
  ack.slack_secret = Secret(reader, "slack_secret_file", read, false);
  ack.lifetime = reader.Interval("lifetime", ack.lifetime, minutes(1), hours(24 * 30));
  ack.tolerance = reader.Interval("tolerance", ack.tolerance, milliseconds(1000), hours(24));
  ack.application_id = reader.String("application_id", ack.application_id);
  ack.role = reader.String("role", {}, true);
  for (const auto& entry : NodeOr(reader.Node("people")).map()) {
    if (!entry.value.IsScalar()) reader.ErrorAt(entry.value, "the person's id in the policy is missing");
    ack.people[entry.key] = entry.value.scalar();
  }
  CheckAcknowledge(reader, ack);
  reader.Finish();
  config->acknowledge = std::move(ack);
}

bool In(const std::vector<std::string>& list, const std::string& value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

bool InHours(const Hours& open, Timestamp now) {
  const auto day = open.zone->DayOf(now);
  if (!open.days[std::chrono::weekday(day).c_encoding()]) return false;
  if (now < open.zone->At(day, open.from).first) return false;
  return open.to == minutes(24 * 60) || now < open.zone->At(day, open.to).first;
}

// A case that comes back asks the level that had it anew; at the first level it waits in the queue, as one just opened.
bool AsksItsLevel(const NotifyEvent& event) {
  return event.name == "escalated" || event.name == "renotified" || (event.name == "reopened" && !event.first_level);
}

bool Matches(const Route& route, const NotifyEvent& event, Timestamp now) {
  const bool channel = route.channels.empty() || std::any_of(event.channels.begin(), event.channels.end(),
                                                             [&](const auto& name) { return In(route.channels, name); });
  return channel && In(route.levels, event.level) && In(route.severities, event.severity) &&
         In(route.teams, event.team) && In(route.policies, event.policy) &&
         (route.events ? In(*route.events, event.name) : AsksItsLevel(event)) && route.drill == event.drill &&
         (!route.hours || InHours(*route.hours, now));
}

}  // namespace

std::optional<NotifyConfig> ParseNotifyConfig(const SourceFile& file, const ReadSecret& read, Diagnostics* diagnostics) {
  const auto yaml = ParseYaml(file, diagnostics);
  if (!yaml) return std::nullopt;
  if (yaml->documents.size() != 1) {
    diagnostics->Error({file.name, 1, 1}, "expected one YAML document");
    return std::nullopt;
  }
  NotifyConfig config;
  MapReader top(*yaml->source, yaml->documents.front(), "the notifier's configuration", diagnostics);
  ReadKafka(top, read, &config);
  config.storage_path = top.String("storage_path", {}, /*required=*/true);
  config.listen_address = top.String("listen_address", config.listen_address);
  config.max_age = top.Interval("max_age", config.max_age, minutes(1), hours(24 * 30));
  config.max_queued_bytes = top.Bytes("max_queued", config.max_queued_bytes, 1024 * 1024, int64_t{1} << 34);
  const YamlNode* destinations = top.Node("destinations", /*required=*/true);
  for (const auto& entry : NodeOr(destinations).map()) {
    config.destinations[entry.key] = ReadDestination(top, entry.key, entry.value, read);
  }
  CheckFallbacks(top, config);
  ReadAcknowledge(top, read, &config);
  const YamlNode* routes = top.Node("routes", /*required=*/true);
  for (const YamlNode& node : NodeOr(routes).list()) config.routes.push_back(ReadRoute(top, node, config));
  if (routes && config.routes.empty()) top.ErrorHere("`routes` must be a list of at least one route");
  top.Finish();
  if (diagnostics->HasErrors()) return std::nullopt;
  return config;
}

NotifyKeep KeepOf(const NotifyConfig& config) {
  constexpr hours kMargin(24), kLongestCase(24 * 90);
  const Duration links = config.acknowledge ? config.acknowledge->lifetime : Duration{0};
  return {config.max_age + kMargin, std::max(config.max_age, links) + kMargin, kLongestCase};
}

std::vector<std::string> RouteEvent(const NotifyConfig& config, const NotifyEvent& event, Timestamp now) {
  std::vector<std::string> names;
  for (const Route& route : config.routes) {
    if (!Matches(route, event, now)) continue;
    for (const std::string& name : route.to) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    if (!route.go_on) break;
  }
  return names;
}

}  // namespace triaged
