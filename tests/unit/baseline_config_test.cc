// The baseline's settings, and who may read its fields.
#include <doctest/doctest.h>

#include <string>

#include "daemon/config.h"

namespace triaged {
namespace {

constexpr const char* kLeast =
    "kafka:\n  bootstrap_servers: kafka:9092\n  alert_topics: [alerts]\nstorage: {path: data}\n"
    "formats: formats\nrules: [rules]\npolicies: [soc.yaml]\n";

std::string Told(const std::string& baseline) {
  Diagnostics diagnostics;
  CHECK_FALSE(ParseConfig({"t.yaml", kLeast + baseline}, &diagnostics));
  return diagnostics.Render();
}

bool Has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

EngineSources Sources() {
  Diagnostics diagnostics;
  EngineSources sources;
  sources.formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
  sources.rules = {{"rules.yaml", "title: R\nid: r\ndetection: {s: {rule.name: x}, condition: s}\n"}};
  sources.policies = ReadSources({TRIAGED_SOURCE_DIR "/tests/scenario/baseline/pack.yaml"}, &diagnostics);
  return sources;
}

}  // namespace

TEST_CASE("baseline: its settings are read, and what makes no sense is refused") {
  Diagnostics diagnostics;
  auto config = ParseConfig({"t.yaml", kLeast}, &diagnostics);
  REQUIRE_MESSAGE(config, diagnostics.Render());
  CHECK(config->baseline.keys == 100'000);
  CHECK(config->baseline.enabled());
  config = ParseConfig(
      {"t.yaml", std::string(kLeast) + "baseline: {keys: 5000, half_life: 2d, learn: 0, forget: 60d}\n"}, &diagnostics);
  REQUIRE_MESSAGE(config, diagnostics.Render());
  CHECK(config->baseline.keys == 5000);
  CHECK(config->baseline.half_life == std::chrono::hours(48));
  CHECK(config->baseline.learn == Duration(0));
  CHECK(config->baseline.forget == std::chrono::hours(24 * 60));
  config = ParseConfig({"t.yaml", std::string(kLeast) + "baseline: {keys: 0}\n"}, &diagnostics);
  REQUIRE_MESSAGE(config, diagnostics.Render());
  CHECK_FALSE(config->baseline.enabled());

  CHECK(Has(Told("baseline: {keys: 999}\n"), "at least 1000"));
  CHECK(Has(Told("baseline: {half_life: 90m}\n"), "whole hours"));
  CHECK(Has(Told("baseline: {learn: 31d}\n"), "longer than `learn`"));
  CHECK(Has(Told("baseline: {half_lief: 7d}\n"), "half_life"));
}

TEST_CASE("baseline: a policy or a group cannot be chosen by it, and the message says what to do") {
  for (const std::string& change : {std::string("by: [baseline.rule.first_seen]"),
                                    std::string("by: [host.name], when: {baseline.ready: true}")}) {
    EngineSources sources = Sources();
    std::string& text = sources.policies.front().text;
    const std::string old = "by: [host.name]";
    text.replace(text.find(old), old.size(), change);
    Diagnostics diagnostics;
    CHECK(CompileEngine(sources, {}, &diagnostics) == nullptr);
    CAPTURE(diagnostics.Render());
    CHECK(Has(diagnostics.Render(), "policy 'baseline': baseline."));
    CHECK(Has(diagnostics.Render(), "read it in a rule"));
  }
}

TEST_CASE("baseline: its settings are part of what an escalation names") {
  Diagnostics diagnostics;
  EngineSources sources = Sources();
  const auto one = CompileEngine(sources, {}, &diagnostics);
  sources.baseline.learn = std::chrono::hours(1);
  const auto other = CompileEngine(sources, {}, &diagnostics);
  REQUIRE_MESSAGE((one && other), diagnostics.Render());
  CHECK(one->fingerprint != other->fingerprint);
  CHECK_FALSE(one->alert_catalog->Asked(field::kBaselineReady));
  sources.rules.front().text = "title: R\nid: r\ndetection: {s: {baseline.ready: true}, condition: s}\n";
  const auto asking = CompileEngine(sources, {}, &diagnostics);
  REQUIRE_MESSAGE(asking, diagnostics.Render());
  CHECK(asking->alert_catalog->Asked(field::kBaselineReady));
}

}  // namespace triaged
