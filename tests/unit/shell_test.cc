// The shell without Kafka: configuration, log lines, the HTTP server, metrics and readiness.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "daemon/config.h"
#include "daemon/admin_pages.h"
#include "daemon/log.h"
#include "daemon/metrics.h"

namespace triaged {
namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_((std::filesystem::temp_directory_path() / "triaged-shell-XXXXXX").string()) {
    REQUIRE(mkdtemp(path_.data()) != nullptr);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name, std::ios::binary) << text;
    return path_ + "/" + name;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The least that is a configuration; tests add to it or change a line.
const std::string kLeast = R"(kafka:
  bootstrap_servers: broker:9092
  alert_topics: [alerts]
storage: {path: data}
formats: formats
rules: [rules/a.yaml, /etc/rules]
policies: policy.yaml
)";

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

bool Has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// ---- configuration --------------------------------------------------------------------------------------------

TEST_CASE("config: the least has the defaults, and paths are relative to the file") {
  Diagnostics diagnostics;
  const auto config = ParseConfig({"/conf/triaged.yaml", kLeast}, &diagnostics);
  REQUIRE_MESSAGE(config, diagnostics.Render());
  CHECK(config->application_id == "triaged");
  CHECK_FALSE(config->instance.empty());
  CHECK(config->kafka.partitions == 12);
  CHECK(config->kafka.routing == Routing::kRepartition);
  CHECK(config->workers == 1);
  CHECK(config->web_listen_address == "127.0.0.1:9464");
  CHECK(config->log_format == LogFormat::kLogfmt);
  CHECK(config->storage.path == "/conf/data");
  CHECK(config->formats == std::vector<std::string>{"/conf/formats"});
  CHECK(config->rules == std::vector<std::string>{"/conf/rules/a.yaml", "/etc/rules"});
}

TEST_CASE("config: units, choices and nested settings are read") {
  Diagnostics diagnostics;
  const auto config = ParseConfig({"/conf/t.yaml", Replaced(kLeast, "storage: {path: data}",
                                                           "storage: {path: /d, memory: 64MiB, flush_interval: 1m30s, correlation_bytes: 2MiB}\n"
                                                           "log: {level: warn, format: json}\n"
                                                           "limits: {step_wait: 20ms, alert_bytes: 2MiB, rule_steps: 5, rule_set_steps: 6, alert_rule_steps: 7000}\n"
                                                           "workers: 3")},
                                  &diagnostics);
  REQUIRE_MESSAGE(config, diagnostics.Render());
  CHECK(config->storage.memory_bytes == 64 * 1024 * 1024);
  CHECK(config->storage.flush_interval == Duration(90'000));
  CHECK(config->storage.correlation_bytes == 2 * 1024 * 1024);
  CHECK(config->log_level == "warn");
  CHECK(config->log_format == LogFormat::kJson);
  CHECK(config->step.max_wait == Duration(20));
  CHECK(config->alert_limits.max_bytes == 2 * 1024 * 1024);
  CHECK(config->rule_budget == RuleBudget{5, 6, 7000});
  CHECK(config->workers == 3);
}

TEST_CASE("config: everything wrong is told at once, with line") {
  Diagnostics diagnostics;
  std::string text = Replaced(kLeast, "  alert_topics: [alerts]", "  alert_topic: [alerts]\n  partitions: 0");
  text += "workers: many\nlog: {level: loud}\n";
  CHECK_FALSE(ParseConfig({"t.yaml", text}, &diagnostics));
  const std::string told = diagnostics.Render();
  CAPTURE(told);
  CHECK(Has(told, "t.yaml:3"));      // the misspelt key
  CHECK(Has(told, "alert_topics"));  // … and what was meant
  CHECK(Has(told, "partitions"));
  CHECK(Has(told, "workers"));
  CHECK(Has(told, "loud"));
  CHECK(diagnostics.items().size() >= 4);
}

TEST_CASE("config: what would break a promise is refused") {
  const auto told = [](const std::string& text) {
    Diagnostics diagnostics;
    CHECK_FALSE(ParseConfig({"t.yaml", text}, &diagnostics));
    return diagnostics.Render();
  };
  const std::string topics = "  alert_topics: [alerts]\n";
  CHECK(Has(told(Replaced(kLeast, topics, "  alert_topics: [triaged.state]\n")), "triaged.state"));
  CHECK(Has(told(Replaced(kLeast, topics, topics + "  properties: {isolation.level: read_uncommitted}\n")),
            "exactly-once"));
  CHECK(Has(told(Replaced(kLeast, topics, topics + "  embedded_broker: true\n")), "not both"));
  CHECK(Has(told(Replaced(kLeast, "  bootstrap_servers: broker:9092\n", "")), "bootstrap_servers"));
  CHECK(Has(told(kLeast + "workers: 1\nworkers: 2\n"), "workers"));
}

TEST_CASE("config: a secret comes from its file, without the newline") {
  const TemporaryDirectory directory;
  directory.Write("password", "hunter 2\n");
  const std::string topics = "  alert_topics: [alerts]\n";
  const std::string text =
      Replaced(kLeast, topics, topics + "  properties: {sasl.password_file: password, client.rack: a}\n");
  Diagnostics diagnostics;
  const auto config = LoadConfig(directory.Write("triaged.yaml", text), &diagnostics);
  REQUIRE_MESSAGE(config, diagnostics.Render());
  CHECK(config->kafka.properties ==
        std::map<std::string, std::string>{{"client.rack", "a"}, {"sasl.password", "hunter 2"}});

  std::filesystem::remove(directory.path() + "/password");
  CHECK_FALSE(LoadConfig(directory.path() + "/triaged.yaml", &diagnostics));
  CHECK(Has(diagnostics.Render(), "sasl.password"));
  CHECK_FALSE(Has(diagnostics.Render(), "hunter"));
}

TEST_CASE("config: a missing file, an empty directory") {
  const TemporaryDirectory directory;
  Diagnostics diagnostics;
  CHECK_FALSE(LoadConfig(directory.path() + "/none.yaml", &diagnostics));
  CHECK(Has(diagnostics.Render(), "none.yaml"));
  Diagnostics empty;
  CHECK(ReadSources({directory.path()}, &empty).empty());
  CHECK(empty.HasErrors());
  directory.Write("b.yaml", "b");
  directory.Write("a.yml", "a");
  directory.Write("c.txt", "c");
  Diagnostics fine;
  const auto sources = ReadSources({directory.path()}, &fine);
  REQUIRE(sources.size() == 2);
  CHECK(sources[0].text + sources[1].text == "ab");  // in name order
  // A part of the rules is not the rules: what cannot be read is an error, not the end of a text.
  TemporaryDirectory rules;
  rules.Write("a.yaml", "a: 1\n");
  std::filesystem::create_directories(rules.path() + "/sub/b.yaml");
  Diagnostics unread;
  ReadSources({rules.path()}, &unread);
  CHECK(Has(unread.Render(), "sub/b.yaml: is it a file?"));
  std::filesystem::remove(rules.path() + "/sub/b.yaml");
  std::ofstream(rules.path() + "/sub/c.yml") << std::string(200'000, '#') << "\nc: 1\n";
  Diagnostics none;
  const auto whole = ReadSources({rules.path()}, &none);
  CHECK_FALSE(none.HasErrors());
  REQUIRE(whole.size() == 2);
  CHECK(whole[1].text.size() == 200'006);
}

// ---- log ------------------------------------------------------------------------------------------------------

const std::string kForged = "x\" level=error msg=\"forged\nts=now level=error msg=forged\r\x1b[31m\\";

TEST_CASE("log: data cannot forge a line or a field") {
  const std::string line = FormatLogLine(LogFormat::kLogfmt, "T", "info", "dead letter", {{"why", kForged}, {"n", "5"}});
  CHECK(line == "ts=T level=info msg=\"dead letter\" why=\"x\\\" level=error msg=\\\"forged\\nts=now level=error "
                "msg=forged\\u000d\\u001b[31m\\\\\" n=5");
  CHECK(FormatLogLine(LogFormat::kLogfmt, "T", "info", "m", {{"empty", ""}, {"eq", "a=b"}, {"format", "{}%s%n"}}) ==
        "ts=T level=info msg=m empty=\"\" eq=\"a=b\" format={}%s%n");
}

TEST_CASE("log: every JSON line is one JSON object that gives the data back") {
  const std::string zero("a\0b", 3);
  const std::string line =
      FormatLogLine(LogFormat::kJson, "T", "warn", "m", {{"why", kForged}, {"zero", zero}, {"name", "Zoë"}});
  CHECK(line.find('\n') == std::string::npos);
  const auto read = nlohmann::json::parse(line);
  CHECK(read.at("why") == kForged);
  CHECK(read.at("zero") == zero);
  CHECK(read.at("name") == "Zoë");
  CHECK(read.at("level") == "warn");
}

TEST_CASE("log: bytes that are no UTF-8 do not reach the line") {
  for (const LogFormat format : {LogFormat::kJson, LogFormat::kLogfmt}) {
    const std::string line = FormatLogLine(format, "T", "info", "m", {{"why", "a\xff\xc0z"}});
    CAPTURE(line);
    CHECK_FALSE(Has(line, "\xff"));
    CHECK_FALSE(Has(line, "\xc0"));
    CHECK(Has(line, "z"));
  }
}

// ---- HTTP -----------------------------------------------------------------------------------------------------

struct Answer {
  int status = 0;
  std::string head, body;
};

Answer Ask(int port, const std::string& request_line, const std::string& headers = "") {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  REQUIRE(fd >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const std::string request = request_line + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n" + headers + "\r\n";
  REQUIRE(send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()));
  std::string all;
  char buffer[4096];
  for (ssize_t got; (got = recv(fd, buffer, sizeof buffer, 0)) > 0;) all.append(buffer, static_cast<size_t>(got));
  close(fd);
  const size_t split = all.find("\r\n\r\n");
  REQUIRE_MESSAGE(split != std::string::npos, all);
  Answer answer{0, all.substr(0, split), all.substr(split + 4)};
  REQUIRE(std::sscanf(all.c_str(), "HTTP/1.1 %d", &answer.status) == 1);
  return answer;
}

// Hooks whose answers a test sets before it asks; how often reload was asked for.
struct Hooks {
  std::atomic<bool> ready{true}, good{true};
  std::atomic<int> reloads{0};
  AdminHooks Make() {
    return {[] { return std::string("metric 1\n"); },
            [this] { return ready ? std::pair(true, std::string("ready")) : std::pair(false, std::string("restoring")); },
            [this] {
              ++reloads;
              return good ? std::pair(true, std::string("reloaded")) : std::pair(false, std::string("rules.yaml:3: bad"));
            }};
  }
};

TEST_CASE("http: pages, methods and statuses") {
  Hooks hooks;
  const auto server = StartAdminServer("127.0.0.1:0", hooks.Make());
  REQUIRE(server);
  const int port = (*server)->port();
  REQUIRE(port > 0);

  const Answer metrics = Ask(port, "GET /metrics");
  CHECK(metrics.status == 200);
  CHECK(metrics.body == "metric 1\n");
  CHECK(Has(metrics.head, "version=0.0.4"));
  CHECK(Ask(port, "GET /-/healthy").status == 200);
  const Answer head = Ask(port, "HEAD /-/healthy");
  CHECK(head.status == 200);
  CHECK(head.body.empty());
  CHECK(Ask(port, "GET /-/ready").status == 200);
  hooks.ready = false;
  const Answer not_ready = Ask(port, "GET /-/ready");
  CHECK(not_ready.status == 503);
  CHECK(not_ready.body == "restoring\n");
  CHECK(Ask(port, "GET /-/healthy").status == 200);
  CHECK(Ask(port, "GET /").status == 404);
  CHECK(Ask(port, "GET /metrics/../etc/passwd").status == 404);
  CHECK(Ask(port, "POST /metrics").status == 405);
}

TEST_CASE("http: reload is a POST, from this machine, and not from a page") {
  Hooks hooks;
  const auto server = StartAdminServer("127.0.0.1:0", hooks.Make());
  REQUIRE(server);
  const int port = (*server)->port();
  CHECK(Ask(port, "GET /-/reload").status == 405);
  CHECK(Ask(port, "POST /-/reload", "Origin: http://evil.example\r\n").status == 403);
  CHECK(hooks.reloads == 0);
  CHECK(Ask(port, "POST /-/reload").status == 200);
  hooks.good = false;
  const Answer refused = Ask(port, "POST /-/reload");
  CHECK(refused.status == 400);
  CHECK(refused.body == "rules.yaml:3: bad\n");
  CHECK(hooks.reloads == 2);

  Hooks open;
  const auto anywhere = StartAdminServer(std::string(inet_ntoa({INADDR_ANY})) + ":0", open.Make());
  REQUIRE(anywhere);
  CHECK(Ask((*anywhere)->port(), "GET /metrics").status == 200);
  CHECK(Ask((*anywhere)->port(), "POST /-/reload").status == 403);
  CHECK(open.reloads == 0);
}

TEST_CASE("http: what is too large is refused, what is no HTTP too, and who says nothing keeps nobody waiting") {
  Hooks hooks;
  const auto server = StartAdminServer("127.0.0.1:0", hooks.Make());
  REQUIRE(server);
  const int port = (*server)->port();
  std::vector<int> silent;
  for (int i = 0; i < 40; ++i) {
    silent.push_back(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(silent.back(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  CHECK(Ask(port, "GET /metrics").status == 200);
  CHECK(Ask(port, "GET /metrics", "X-Long: " + std::string(20'000, 'x') + "\r\n").status == 413);
  CHECK(Ask(port, "GET\x01/metrics").status == 400);
  CHECK(Ask(port, "GET /metrics").status == 200);
  for (const int fd : silent) close(fd);
}

TEST_CASE("http: a wrong or taken address says so") {
  Hooks hooks;
  for (const char* address : {"", "9464", ":9464", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1"}) {
    CAPTURE(address);
    const auto server = StartAdminServer(address, hooks.Make());
    REQUIRE_FALSE(server);
    CHECK(server.error().kind == ErrorClass::kBadInput);
  }
  const auto first = StartAdminServer("127.0.0.1:0", hooks.Make());
  REQUIRE(first);
  const std::string taken = "127.0.0.1:" + std::to_string((*first)->port());
  const auto second = StartAdminServer(taken, hooks.Make());
  REQUIRE_FALSE(second);
  CHECK(Has(second.error().message, taken));
}

// ---- metrics --------------------------------------------------------------------------------------------------

std::shared_ptr<const Engine> ShippedEngine() {
  Diagnostics diagnostics;
  const auto config = LoadConfig(TRIAGED_SOURCE_DIR "/configs/triaged.yaml", &diagnostics);
  auto engine = config ? LoadEngine(*config, &diagnostics) : nullptr;
  REQUIRE_MESSAGE(engine, diagnostics.Render());
  return engine;
}

// Logs would drown the test's own output.
struct QuietLog {
  QuietLog() { InitLog("off", LogFormat::kLogfmt); }
  ~QuietLog() { InitLog("info", LogFormat::kLogfmt); }
};

// One series by its name and labels as they stand in the text; -1 when it is not there.
double Value(const Metrics& metrics, const std::string& series) {
  std::istringstream text(metrics.Text());
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with(series + " ")) return std::stod(line.substr(series.size() + 1));
  }
  return -1;
}

// Sum over all series of a family, so that label order does not matter.
double Sum(const Metrics& metrics, const std::string& family, const std::string& label = "") {
  std::istringstream text(metrics.Text());
  double sum = 0;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with(family + "{") && Has(line, label)) sum += std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

size_t SeriesCount(const Metrics& metrics) {
  std::istringstream text(metrics.Text());
  size_t count = 0;
  for (std::string line; std::getline(text, line);) count += !line.empty() && line[0] != '#';
  return count;
}

StepFacts::Event EventOf(const Engine& engine, CaseEventType type, std::string reason) {
  StepFacts::Event event;
  event.type = type;
  event.policy = engine.policies.front()->name;
  event.level_to = 1;
  event.reason = std::move(reason);
  event.since_opened = Duration(15 * 60 * 1000);
  return event;
}

// A step of each stage with something of everything in it.
void Feed(const Engine& engine, Metrics* metrics) {
  StepReport intake;
  intake.facts.balance.consumed = 5;
  intake.facts.balance.outcomes[static_cast<size_t>(AlertOutcome::kForwarded)] = 4;
  intake.facts.balance.outcomes[static_cast<size_t>(AlertOutcome::kDeadLettered)] = 1;
  intake.facts.dead_letters.push_back({"invalid_json", "alerts", "no JSON", 0, 7});
  metrics->OnStep(0, intake);
  StepReport decide;
  decide.partition = 2;
  decide.facts.balance.consumed = 4;
  decide.facts.balance.outcomes[static_cast<size_t>(AlertOutcome::kOpened)] = 1;
  decide.facts.balance.outcomes[static_cast<size_t>(AlertOutcome::kMerged)] = 3;
  decide.facts.balance.commands_consumed = decide.facts.balance.commands_applied = 2;
  decide.facts.rule_hits = {0, 0, 1};
  decide.facts.timers_fired = 3;
  decide.facts.events.push_back(EventOf(engine, CaseEventType::kEscalated, "unresolved_in_time"));
  decide.facts.events.push_back(EventOf(engine, CaseEventType::kEscalated, "because Ann said so"));
  decide.facts.events.back().nobody_on_shift = true;
  decide.facts.events.push_back(EventOf(engine, CaseEventType::kRenotified, ""));
  decide.facts.events.back().overdue = Duration(40);
  decide.facts.events.push_back(EventOf(engine, CaseEventType::kSlaBreached, ""));
  decide.facts.events.push_back(EventOf(engine, CaseEventType::kAcknowledged, ""));
  decide.facts.events.push_back(EventOf(engine, CaseEventType::kResolved, ""));
  metrics->OnStep(0, decide);
  metrics->OnTransaction(0, CommitOutcome::kCommitted, Duration(12));
}

TEST_CASE("metrics: counts, and the balance adds up by stage") {
  const QuietLog quiet;
  const auto engine = ShippedEngine();
  Metrics metrics(*engine, 1, 4);
  Feed(*engine, &metrics);
  for (const char* stage : {"intake", "decide"}) {
    CAPTURE(stage);
    const std::string label = "stage=\"" + std::string(stage) + "\"";
    CHECK(Sum(metrics, "triaged_alerts_consumed_total", label) > 0);
    CHECK(Sum(metrics, "triaged_alerts_consumed_total", label) == Sum(metrics, "triaged_alerts_total", label));
  }
  CHECK(Value(metrics, "triaged_dead_letters_total{reason=\"invalid_json\"}") == 1);
  CHECK(Value(metrics, "triaged_commands_consumed_total") == 2);
  CHECK(Value(metrics, "triaged_commands_total{outcome=\"applied\"}") == 2);
  CHECK(Value(metrics, "triaged_rule_hits_total{rule=\"" + engine->rules->rules()[0].id + "\"}") == 2);
  CHECK(Value(metrics, "triaged_rule_hits_total{rule=\"" + engine->rules->rules()[1].id + "\"}") == 1);
  CHECK(Value(metrics, "triaged_timers_fired_total") == 3);
  CHECK(Value(metrics, "triaged_case_events_total{type=\"escalated\"}") == 2);
  CHECK(Value(metrics, "triaged_nobody_on_shift_total") == 1);
  CHECK(Value(metrics, "triaged_renotifications_total") == 1);
  CHECK(Value(metrics, "triaged_sla_breaches_total{clock=\"acknowledge\"}") == 1);
  CHECK(Value(metrics, "triaged_timer_overdue_seconds_count") == 1);
  CHECK(Value(metrics, "triaged_commit_duration_seconds_count") == 1);
  CHECK(Value(metrics, "triaged_time_to_acknowledge_seconds_count") == 1);
  CHECK(Value(metrics, "triaged_time_to_resolve_seconds_count") == 1);
}

TEST_CASE("metrics: a person's words never become a label, and no count makes a series") {
  const QuietLog quiet;
  const auto engine = ShippedEngine();
  Metrics metrics(*engine, 1, 4);
  const size_t before = SeriesCount(metrics);
  Feed(*engine, &metrics);
  StepReport odd;
  odd.partition = 0;
  odd.facts.dead_letters.push_back({"a reason nobody knows", "alerts", "", 0, 0});
  odd.facts.rule_hits = {1'000'000};
  metrics.OnStep(0, odd);
  CHECK(SeriesCount(metrics) == before);
  CHECK(Sum(metrics, "triaged_escalations_total", "reason=\"manual\"") == 1);
  CHECK(Sum(metrics, "triaged_escalations_total", "reason=\"unresolved_in_time\"") == 1);
  CHECK(Value(metrics, "triaged_dead_letters_total{reason=\"other\"}") == 1);
}

TEST_CASE("metrics: every reason that the pack itself gives is a label of its own, whatever its name") {
  const QuietLog quiet;
  const auto shipped = ShippedEngine();
  auto policy = std::make_shared<Policy>(*shipped->policies.front());
  policy->reason_without_verdict = "nobody_said_what_it_is";
  Engine engine;
  engine.rules = shipped->rules;
  engine.policies = {policy};
  Metrics metrics(engine, 1, 1);
  for (const std::string& reason : policy->Reasons()) {
    CAPTURE(reason);
    StepReport step;
    step.facts.events.push_back(EventOf(engine, CaseEventType::kEscalated, reason));
    metrics.OnStep(0, step);
    CHECK(Sum(metrics, "triaged_escalations_total", "reason=\"" + reason + "\"") == 1);
  }
  CHECK(Sum(metrics, "triaged_escalations_total", "reason=\"nobody_said_what_it_is\"") == 1);
  CHECK(Sum(metrics, "triaged_escalations_total", "reason=\"manual\"") == 0);
}

TEST_CASE("metrics: within its time can be read off at every target of the policies") {
  const QuietLog quiet;
  const auto engine = ShippedEngine();
  const Metrics metrics(*engine, 1, 1);
  const std::string text = metrics.Text();
  size_t targets = 0;
  for (const auto& policy : engine->policies) {
    for (const ClockSpec& clock : policy->clocks) {
      for (const auto& duration : clock.duration) {
        if (!duration) continue;
        ++targets;
        const std::string limit = std::to_string(duration->count() / 1000);
        CAPTURE(limit);
        CHECK(Has(text, "triaged_time_to_acknowledge_seconds_bucket{le=\"" + limit + "\"}"));
        CHECK(Has(text, "triaged_time_to_resolve_seconds_bucket{le=\"" + limit + "\"}"));
      }
    }
  }
  CHECK(targets > 0);
}

TEST_CASE("metrics: a reload shows the configuration in use, a refused one the old") {
  const QuietLog quiet;
  const auto engine = ShippedEngine();
  Metrics metrics(*engine, 1, 1);
  const auto info = [&](const std::string& fingerprint) {
    return Value(metrics, "triaged_policy_info{fingerprint=\"" + fingerprint + "\"}");
  };
  CHECK(info(engine->fingerprint) == 1);
  metrics.OnReload(nullptr, Timestamp(Duration(5000)));
  CHECK(Value(metrics, "triaged_config_last_reload_successful") == 0);
  CHECK(info(engine->fingerprint) == 1);

  Diagnostics diagnostics;
  auto config = LoadConfig(TRIAGED_SOURCE_DIR "/configs/triaged.yaml", &diagnostics);
  REQUIRE(config);
  config->rules = {TRIAGED_SOURCE_DIR "/configs/rules/noise.yaml"};
  const auto other = LoadEngine(*config, &diagnostics);
  REQUIRE_MESSAGE(other, diagnostics.Render());
  REQUIRE(other->fingerprint != engine->fingerprint);
  metrics.OnReload(other.get(), Timestamp(Duration(7000)));
  CHECK(Value(metrics, "triaged_config_last_reload_successful") == 1);
  CHECK(Value(metrics, "triaged_config_last_reload_success_timestamp_seconds") == 7);
  CHECK(info(engine->fingerprint) == 0);
  CHECK(info(other->fingerprint) == 1);
}

TEST_CASE("metrics: ready while all workers are in and all their partitions run") {
  const QuietLog quiet;
  const auto engine = ShippedEngine();
  Metrics metrics(*engine, 2, 4);
  const auto ready = [&] { return metrics.Ready().first; };
  CHECK_FALSE(ready());
  metrics.OnConnected(0, true);
  metrics.OnAssignment(0, true, 0);
  CHECK_FALSE(ready());
  metrics.OnConnected(1, true);
  CHECK_FALSE(ready());  // a client, but no place in the group yet
  CHECK(Has(metrics.Ready().second, "worker 1 has no assignment"));
  metrics.OnAssignment(1, true, 2);
  CHECK(Has(metrics.Ready().second, "where 2 alert partitions were read to"));
  metrics.OnAssignment(1, true, 0);
  CHECK(ready());  // joined without partitions is ready
  for (const PartitionState state : {PartitionState::kAssigned, PartitionState::kRestoring}) {
    metrics.OnPartitionState(0, 3, state);
    CHECK_FALSE(ready());
  }
  CHECK(Has(metrics.Ready().second, "partition 3"));
  metrics.OnRestoreProgress(3, 40, 100);
  CHECK(Value(metrics, "triaged_restore_remaining_records{partition=\"3\"}") == 60);
  metrics.OnPartitionState(0, 3, PartitionState::kRunning);
  CHECK(ready());
  CHECK(Value(metrics, "triaged_restore_remaining_records{partition=\"3\"}") == 0);
  CHECK(Value(metrics, "triaged_partitions{state=\"running\"}") == 1);
  metrics.SetStopping();
  CHECK_FALSE(ready());
}

TEST_CASE("metrics: a lost partition that another member got does not keep us from being ready") {
  const QuietLog quiet;
  const auto engine = ShippedEngine();
  Metrics metrics(*engine, 1, 4);
  metrics.OnConnected(0, true);
  metrics.OnAssignment(0, true, 0);
  metrics.OnPartitionState(0, 1, PartitionState::kRunning);
  metrics.OnConnected(0, false);
  metrics.OnPartitionState(0, 1, PartitionState::kLost);
  CHECK_FALSE(metrics.Ready().first);
  CHECK(Value(metrics, "triaged_partitions{state=\"lost\"}") == 1);
  metrics.OnConnected(0, true);
  CHECK(metrics.Ready().first);
  CHECK(Value(metrics, "triaged_partitions{state=\"lost\"}") == 0);
}

TEST_CASE("metrics: two workers of ours speak of a partition that moves between them") {
  const QuietLog quiet;
  const auto engine = ShippedEngine();
  Metrics metrics(*engine, 2, 4);
  for (int worker : {0, 1}) {
    metrics.OnConnected(worker, true);
    metrics.OnAssignment(worker, true, 0);
  }
  metrics.OnPartitionState(0, 1, PartitionState::kRunning);
  metrics.OnPartitionState(1, 1, PartitionState::kRestoring);
  metrics.OnPartitionState(0, 1, PartitionState::kClosed);  // late word of the old owner
  CHECK_FALSE(metrics.Ready().first);
}

TEST_CASE("metrics: what a partition told is gone from the sums when it goes") {
  const QuietLog quiet;
  const auto engine = ShippedEngine();
  Metrics metrics(*engine, 1, 4);
  StoreStats stats;
  stats.cases = 10;
  stats.standings[{"soc-tiered", 1, CaseStatus::kEscalated, 0}] = 4;
  stats.standings[{"gone", 9, CaseStatus::kOpen, 9}] = 6;
  stats.correlation_windows = 3;
  stats.correlation_dropped = 2;
  stats.stalled = true;
  stats.stalls = 5;
  stats.background_errors = 2;
  stats.compaction_pending_bytes = 1000;
  for (int32_t partition : {0, 1}) {
    metrics.OnPartitionState(0, partition, PartitionState::kRunning);
    metrics.OnStoreStats(partition, stats);
  }
  metrics.OnClock(0, Timestamp(Duration(9000)), Timestamp(Duration(10'000)));
  metrics.OnClock(1, Timestamp(Duration(4000)), Timestamp(Duration(10'000)));
  CHECK(Value(metrics, "triaged_store_cases") == 20);
  CHECK(Sum(metrics, "triaged_cases") == 20);
  CHECK(Sum(metrics, "triaged_cases", "status=\"escalated\"") == 8);
  CHECK(Sum(metrics, "triaged_cases", "policy=\"gone\"") == 12);
  CHECK(Value(metrics, "triaged_clock_lag_seconds") == 6);
  CHECK(Value(metrics, "triaged_correlation_windows") == 6);
  CHECK(Value(metrics, "triaged_correlation_dropped_windows") == 4);
  CHECK(Value(metrics, "triaged_store_stalled") == 2);
  CHECK(Value(metrics, "triaged_store_write_stalls") == 5);
  CHECK(Value(metrics, "triaged_store_compaction_pending_bytes") == 2000);
  metrics.OnPartitionState(0, 1, PartitionState::kClosed);
  CHECK(Value(metrics, "triaged_correlation_windows") == 3);
  CHECK(Value(metrics, "triaged_store_cases") == 10);
  CHECK(Value(metrics, "triaged_store_background_errors") == 2);  // of the process: as when the sick store was open
  CHECK(Sum(metrics, "triaged_cases") == 10);
  CHECK(Value(metrics, "triaged_clock_lag_seconds") == 1);
}

TEST_CASE("metrics: lag is summed by topic, and a worker that left has none") {
  const QuietLog quiet;
  const auto engine = ShippedEngine();
  Metrics metrics(*engine, 2, 4);
  metrics.OnLags(0, {{{"alerts", 0}, 7}, {{"alerts", 1}, 1}, {{"triaged.commands", 0}, 2}});
  metrics.OnLags(1, {{{"alerts", 2}, 10}});
  CHECK(Value(metrics, "triaged_consumer_lag_records{topic=\"alerts\"}") == 18);
  metrics.OnLags(0, {{{"alerts", 0}, 3}});
  CHECK(Value(metrics, "triaged_consumer_lag_records{topic=\"alerts\"}") == 13);
  CHECK(Value(metrics, "triaged_consumer_lag_records{topic=\"triaged.commands\"}") == 0);
  metrics.OnConnected(1, false);
  CHECK(Value(metrics, "triaged_consumer_lag_records{topic=\"alerts\"}") == 3);
}

TEST_CASE("metrics: workers, scrapes and reloads at once") {
  const QuietLog quiet;
  const auto engine = ShippedEngine();
  Metrics metrics(*engine, 2, 4);
  constexpr int kRounds = 50;
  std::vector<std::thread> threads;
  for (int worker = 0; worker < 2; ++worker) {
    threads.emplace_back([&, worker] {
      for (int i = 0; i < kRounds; ++i) {
        Feed(*engine, &metrics);
        metrics.OnPhase(worker, WorkerPhase::kTurn);
        metrics.OnPartitionState(worker, worker, i % 2 ? PartitionState::kRunning : PartitionState::kRestoring);
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < 5; ++i) metrics.OnReload(engine.get(), Timestamp(Duration(i)));
  });
  size_t scraped = 0;
  for (int i = 0; i < 5; ++i) scraped += metrics.Text().size();
  for (std::thread& thread : threads) thread.join();
  CHECK(scraped > 0);
  CHECK(Value(metrics, "triaged_timers_fired_total") == 2 * kRounds * 3);
  CHECK(Value(metrics, "triaged_case_events_total{type=\"escalated\"}") == 2 * kRounds * 2);
}

TEST_CASE("metrics: promtool finds nothing to say") {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
    MESSAGE("promtool is not installed: left out");
    return;
  }
  const QuietLog quiet;
  const auto engine = ShippedEngine();
  Metrics metrics(*engine, 1, 2);
  Feed(*engine, &metrics);
  const TemporaryDirectory directory;
  const std::string text = directory.Write("metrics", metrics.Text());
  const std::string said = directory.path() + "/said";
  const int status = std::system(("promtool check metrics <'" + text + "' >'" + said + "' 2>&1").c_str());
  std::ostringstream out;
  out << std::ifstream(said).rdbuf();
  CHECK_MESSAGE(WEXITSTATUS(status) == 0, out.str());
  CHECK(out.str().empty());
}

}  // namespace
}  // namespace triaged
