#include "daemon/route_tests.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "daemon/config.h"
#include "pipeline/notify/config.h"

namespace triaged {
namespace {

constexpr const char* kMonday = "2026-03-02T08:00:00Z";
// Long enough for a key, and an address where one is asked for.
constexpr const char* kStandIn = "https://secret.invalid/00000000000000000000000000000000";

std::string Listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return "[" + text + "]";
}

std::optional<NotifyConfig> LoadRoutes(const std::filesystem::path& path, Diagnostics* diagnostics) {
  const auto file = ReadSourceFile(path.string());
  if (!file) {
    diagnostics->Error({path.string(), 0, 0}, file.error().message);
    return std::nullopt;
  }
  const auto read = [&path](const std::string& name) -> Result<std::string> {
    const auto secret = ReadSourceFile((path.parent_path() / name).string());
    return secret ? secret->text : std::string(kStandIn);
  };
  return ParseNotifyConfig(*file, read, diagnostics);
}

NotifyEvent ReadEvent(MapReader& route) {
  static const YamlNode kNone;
  const YamlNode* node = route.Node("event");
  MapReader reader(route.source(), node ? *node : kNone, "the event", route.diagnostics());
  NotifyEvent event;
  event.name = reader.String("event", "escalated");
  event.level = reader.String("level");
  event.first_level = reader.Bool("first_level", false);
  event.severity = reader.String("severity");
  event.team = reader.String("team");
  event.policy = reader.String("policy");
  event.channels = reader.Strings("channel");
  event.drill = reader.Bool("drill", false);
  reader.Finish();
  return event;
}

class RouteTests {
 public:
  RouteTests(const SourceFile& file, Diagnostics* diagnostics) : file_(file), diagnostics_(diagnostics) {}

  void Run() {
    const auto yaml = ParseYaml(file_, diagnostics_);
    if (!yaml) return;
    if (yaml->documents.size() != 1) return diagnostics_->Error({file_.name, 1, 1}, "expected one YAML document");
    MapReader top(*yaml->source, yaml->documents.front(), "the test of routes", diagnostics_);
    const std::string notify = top.String("notify", {}, /*required=*/true);
    const YamlNode* routes = top.Node("routes", /*required=*/true);
    if (routes && (!routes->IsList() || routes->list().empty())) {
      top.ErrorAt(*routes, "'routes' must be a list of at least one case");
    }
    top.Finish();
    if (diagnostics_->HasErrors()) return;
    const auto config = LoadRoutes(std::filesystem::path(file_.name).parent_path() / notify, diagnostics_);
    if (!config) return;
    for (const YamlNode& node : routes->list()) Case(*config, top, node);
  }

  std::vector<std::string> failures() { return std::move(failures_); }

 private:
  void Case(const NotifyConfig& config, MapReader& top, const YamlNode& node) {
    MapReader reader(top.source(), node, "the case", diagnostics_);
    const std::string name = reader.String("name", {}, /*required=*/true);
    const std::string at_text = reader.String("at", kMonday);
    const auto at = ParseTimestamp(at_text);
    if (!at) reader.ErrorHere("'" + at_text + "' is no RFC 3339 time (2026-03-02T08:00:00Z)");
    const NotifyEvent event = ReadEvent(reader);
    reader.Node("to", /*required=*/true);
    const std::vector<std::string> wanted = reader.Strings("to");  // may be empty: nobody
    for (const std::string& destination : wanted) {
      if (!config.destinations.contains(destination)) reader.ErrorHere("no destination is called '" + destination + "'");
    }
    reader.Finish();
    if (diagnostics_->HasErrors()) return;
    const std::vector<std::string> found = RouteEvent(config, event, *at);
    if (found == wanted) return;
    failures_.push_back(file_.name + ":" + std::to_string(node.line()) + ": " + name + ": expected " + Listed(wanted) +
                        ", but it goes to " + Listed(found));
  }

  const SourceFile& file_;
  Diagnostics* diagnostics_;
  std::vector<std::string> failures_;
};

}  // namespace

bool IsRouteTest(const std::string& path) { return path.ends_with(".yaml") || path.ends_with(".yml"); }

std::vector<std::string> RunRouteTests(const SourceFile& file) {
  Diagnostics diagnostics;
  RouteTests tests(file, &diagnostics);
  tests.Run();
  if (diagnostics.HasErrors()) return {diagnostics.Render()};
  return tests.failures();
}

}  // namespace triaged
