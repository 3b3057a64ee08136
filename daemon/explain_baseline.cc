#include "daemon/explain_baseline.h"

#include <chrono>
#include <optional>
#include <set>
#include <tuple>

#include "pipeline/baseline/fields.h"
#include "pipeline/normalise/normaliser.h"
#include "storage/codec.h"

namespace triaged {
namespace {

void Line(const char* name, std::optional<uint64_t> value, std::string* out) {
  if (value) *out += "  " + std::string(name) + " " + std::to_string(*value) + "\n";
}

std::string Shown(const BaselineView& view) {
  const auto count = [](const std::optional<BaselineRate>& rate) {
    return rate ? std::optional(rate->last_hour) : std::nullopt;
  };
  const auto ratio = [](const std::optional<BaselineRate>& rate) { return rate ? rate->percent : std::nullopt; };
  std::string out;
  Line("baseline.rule.age", view.rule_age, &out);
  Line("baseline.rule.age_on_host", view.rule_on_host_age, &out);
  Line("baseline.rule.seen_on_hosts", view.hosts_of_rule, &out);
  Line("baseline.rule.count_1h", count(view.rule_rate), &out);
  Line("baseline.rule.rate_ratio", ratio(view.rule_rate), &out);
  Line("baseline.host.age", view.host_age, &out);
  Line("baseline.host.count_1h", count(view.host_rate), &out);
  Line("baseline.host.rate_ratio", ratio(view.host_rate), &out);
  Line("baseline.entity.rules_24h", view.rules_of_host, &out);
  return out;
}

}  // namespace

Result<std::string> ExplainBaseline(const Loaded& loaded, const Case& c, const BaselineRecords& records, Timestamp at) {
  const BaselineSettings& settings = loaded.config.baseline;
  if (!settings.enabled() || records.blocks.empty()) return std::string();
  BaselineTable table;
  BaselineMarks marks;
  for (const auto& [number, frame] : records.blocks) {
    const auto block = DecodeBaselineBlock(frame);
    if (!block) return block.error();
    for (const BaselineEntry& entry : block->entries) table.Restore(entry);
    marks = block->marks;
  }
  table.FinishRestore(marks);

  const HourlyDecay decay(
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::hours>(settings.half_life).count()));
  Normaliser normaliser(loaded.engine->formats, loaded.engine->limits);
  std::set<std::tuple<uint64_t, uint64_t, uint64_t, uint64_t>> shown;
  std::string out;
  for (const Evidence& evidence : c.evidence) {
    const auto frame = evidence.raw_slot ? records.alerts.find(*evidence.raw_slot) : records.alerts.end();
    if (frame == records.alerts.end()) continue;
    const auto raw = DecodeEvidenceRaw(frame->second);
    if (!raw) return raw.error();
    if (normaliser.Normalise(*raw, {}, evidence.event_time)) continue;  // what was cut is no JSON any more
    const BaselineSubject subject = SubjectOf(normaliser.alert());
    if (!shown.emplace(subject.rule, subject.host, subject.user, subject.source).second) continue;
    const BaselineView view = table.Look(settings, decay, subject, at);
    if (shown.size() == 1) {
      out = "The baseline is " + std::to_string(view.age) + " minutes old" +
            (view.ready ? "" : ", and says of nothing yet that it is new") + ".\n";
    }
    out += "Of alert " + evidence.alert_id + " (" + evidence.rule_name + "):\n" + Shown(view);
  }
  return out;
}

}  // namespace triaged
