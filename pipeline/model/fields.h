// Fields: the names under which rules, grouping, criteria and reports address an alert (ECS names) or a case (case.*).
//
// A FieldCatalog maps names to small integers once, when rules and tables are compiled; evaluation uses integers only.
// A FieldTable holds the values of one alert (or one case's view) and is reused, so that no field costs an allocation.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace triaged {

using FieldId = uint16_t;
inline constexpr FieldId kNoField = 0xffff;

// The normalised names (Elastic Common Schema 8.x, plus our own under triaged.*), in the order `normalize` prints them.
#define TRIAGED_ALERT_FIELDS(X)                        \
  X(kTimestamp, "@timestamp")                          \
  X(kEventId, "event.id")                              \
  X(kEventKind, "event.kind")                          \
  X(kEventCategory, "event.category")                  \
  X(kEventType, "event.type")                          \
  X(kEventAction, "event.action")                      \
  X(kEventOutcome, "event.outcome")                    \
  X(kEventSeverity, "event.severity")                  \
  X(kEventCode, "event.code")                          \
  X(kEventModule, "event.module")                      \
  X(kEventDataset, "event.dataset")                    \
  X(kEventReason, "event.reason")                      \
  X(kEventUrl, "event.url")                            \
  X(kEventStart, "event.start")                        \
  X(kEventEnd, "event.end")                            \
  X(kEventIngested, "event.ingested")                  \
  X(kRuleId, "rule.id")                                \
  X(kRuleName, "rule.name")                            \
  X(kRuleDescription, "rule.description")              \
  X(kRuleCategory, "rule.category")                    \
  X(kRuleRuleset, "rule.ruleset")                      \
  X(kRuleReference, "rule.reference")                  \
  X(kMessage, "message")                               \
  X(kTags, "tags")                                     \
  X(kHostName, "host.name")                            \
  X(kHostId, "host.id")                                \
  X(kHostIp, "host.ip")                                \
  X(kHostMac, "host.mac")                              \
  X(kHostOs, "host.os.name")                           \
  X(kUserName, "user.name")                            \
  X(kUserDomain, "user.domain")                        \
  X(kUserId, "user.id")                                \
  X(kUserEmail, "user.email")                          \
  X(kUserTargetName, "user.target.name")               \
  X(kSourceIp, "source.ip")                            \
  X(kSourcePort, "source.port")                        \
  X(kSourceAddress, "source.address")                  \
  X(kSourceDomain, "source.domain")                    \
  X(kSourceUserName, "source.user.name")               \
  X(kDestinationIp, "destination.ip")                  \
  X(kDestinationPort, "destination.port")              \
  X(kDestinationAddress, "destination.address")        \
  X(kDestinationDomain, "destination.domain")          \
  X(kDestinationUserName, "destination.user.name")     \
  X(kNetworkProtocol, "network.protocol")              \
  X(kNetworkTransport, "network.transport")            \
  X(kNetworkDirection, "network.direction")            \
  X(kProcessName, "process.name")                      \
  X(kProcessPid, "process.pid")                        \
  X(kProcessExecutable, "process.executable")          \
  X(kProcessCommandLine, "process.command_line")       \
  X(kProcessHashSha256, "process.hash.sha256")         \
  X(kProcessHashMd5, "process.hash.md5")               \
  X(kProcessParentName, "process.parent.name")         \
  X(kProcessParentExecutable, "process.parent.executable") \
  X(kProcessParentCommandLine, "process.parent.command_line") \
  X(kFileName, "file.name")                            \
  X(kFilePath, "file.path")                            \
  X(kFileHashSha256, "file.hash.sha256")               \
  X(kFileHashSha1, "file.hash.sha1")                   \
  X(kFileHashMd5, "file.hash.md5")                     \
  X(kRegistryPath, "registry.path")                    \
  X(kUrlFull, "url.full")                              \
  X(kUrlDomain, "url.domain")                          \
  X(kDnsQuestionName, "dns.question.name")             \
  X(kEmailFrom, "email.from.address")                  \
  X(kEmailSubject, "email.subject")                    \
  X(kThreatTacticId, "threat.tactic.id")               \
  X(kThreatTacticName, "threat.tactic.name")           \
  X(kThreatTechniqueId, "threat.technique.id")         \
  X(kThreatTechniqueName, "threat.technique.name")     \
  X(kCloudProvider, "cloud.provider")                  \
  X(kCloudAccountId, "cloud.account.id")               \
  X(kCloudRegion, "cloud.region")                      \
  X(kCloudInstanceId, "cloud.instance.id")             \
  X(kCloudResource, "cloud.resource.id")               \
  X(kContainerId, "container.id")                      \
  X(kContainerName, "container.name")                  \
  X(kOrchestratorNamespace, "orchestrator.namespace")  \
  X(kOrchestratorResource, "orchestrator.resource.name") \
  X(kOrganizationId, "organization.id")                \
  X(kObserverVendor, "observer.vendor")                \
  X(kObserverProduct, "observer.product")              \
  X(kObserverName, "observer.name")                    \
  X(kTraceparent, "traceparent")                       \
  X(kUserFullName, "user.full_name")                   \
  X(kUserRoles, "user.roles")                          \
  X(kNetworkName, "network.name")                      \
  X(kThreatFeedName, "threat.feed.name")               \
  X(kThreatIndicatorType, "threat.indicator.type")     \
  X(kThreatIndicatorName, "threat.indicator.name")     \
  X(kThreatIndicatorConfidence, "threat.indicator.confidence") \
  X(kThreatIndicatorDescription, "threat.indicator.description") \
  X(kThreatMatchedField, "threat.enrichments.matched.field") \
  X(kRelatedHosts, "related.hosts")                    \
  X(kRelatedIp, "related.ip")                          \
  X(kRelatedUser, "related.user")                      \
  X(kRelatedHash, "related.hash")                      \
  X(kAssetName, "triaged.asset.name")                  \
  X(kAssetOwner, "triaged.asset.owner")                \
  X(kAssetDepartment, "triaged.asset.department")      \
  X(kAssetCriticality, "triaged.asset.criticality")    \
  X(kAssetEnvironment, "triaged.asset.environment")    \
  X(kAssetZone, "triaged.asset.zone")                  \
  X(kSourceZone, "triaged.source.zone")                \
  X(kDestinationZone, "triaged.destination.zone")      \
  X(kIdentityName, "triaged.identity.name")            \
  X(kIdentityDepartment, "triaged.identity.department") \
  X(kIdentityCriticality, "triaged.identity.criticality") \
  X(kIdentityPrivileged, "triaged.identity.privileged") \
  X(kIdentityVip, "triaged.identity.vip")              \
  X(kKnownGood, "triaged.known_good")                  \
  X(kTriagedFormat, "triaged.format")                  \
  X(kTriagedSeverity, "triaged.severity")              \
  X(kTriagedIsAlert, "triaged.is_alert")               \
  X(kTriagedDrill, "triaged.drill")                    \
  X(kTriagedState, "triaged.state")                    \
  X(kTriagedNotes, "triaged.notes")                    \
  X(kBaselineReady, "baseline.ready")                  \
  X(kBaselineAge, "baseline.age")                      \
  X(kBaselineRuleFirstSeen, "baseline.rule.first_seen") \
  X(kBaselineRuleFirstSeenOnHost, "baseline.rule.first_seen_on_host") \
  X(kBaselineRuleFirstSeenOnUser, "baseline.rule.first_seen_on_user") \
  X(kBaselineRuleAge, "baseline.rule.age")             \
  X(kBaselineRuleAgeOnHost, "baseline.rule.age_on_host") \
  X(kBaselineRuleSeenOnHosts, "baseline.rule.seen_on_hosts") \
  X(kBaselineRuleCount1h, "baseline.rule.count_1h")    \
  X(kBaselineRuleRateRatio, "baseline.rule.rate_ratio") \
  X(kBaselineHostAge, "baseline.host.age")             \
  X(kBaselineHostCount1h, "baseline.host.count_1h")    \
  X(kBaselineHostRateRatio, "baseline.host.rate_ratio") \
  X(kBaselineEntityFirstSeen, "baseline.entity.first_seen") \
  X(kBaselineEntityRules24h, "baseline.entity.rules_24h") \
  X(kBaselineUserFirstSeenOnHost, "baseline.user.first_seen_on_host") \
  X(kBaselineSourceFirstSeenOnHost, "baseline.source.first_seen_on_host")

// The case document as criteria and guards see it.
#define TRIAGED_CASE_FIELDS(X)                         \
  X(kCaseSeverity, "case.severity")                    \
  X(kCaseStatus, "case.status")                        \
  X(kCaseLevel, "case.level")                          \
  X(kCaseVerdict, "case.verdict")                      \
  X(kCaseVerdictConfidence, "case.verdict_confidence") \
  X(kCaseVerdictBy, "case.verdict_by")                 \
  X(kCaseClassification, "case.classification")        \
  X(kCaseIncident, "case.incident")                    \
  X(kCaseRequest, "case.request")                      \
  X(kCaseTags, "case.tags")                            \
  X(kCaseRules, "case.rules")                          \
  X(kCaseAlertCount, "case.alert_count")               \
  X(kCaseDistinctHost, "case.distinct.host")           \
  X(kCaseDistinctUser, "case.distinct.user")           \
  X(kCaseDistinctSource, "case.distinct.source")       \
  X(kCaseDistinctTechnique, "case.distinct.technique") \
  X(kCaseTactics, "case.tactics")                      \
  X(kCaseTechniques, "case.techniques")                \
  X(kCaseSources, "case.sources")                      \
  X(kCaseMissing, "case.missing")                      \
  X(kCaseOwner, "case.owner")                          \
  X(kCaseTeam, "case.team")                            \
  X(kCaseReopenCount, "case.reopen_count")             \
  X(kCaseAcknowledged, "case.acknowledged")            \
  X(kCaseRecurrence, "case.recurrence")                \
  X(kCaseResolutionFailures, "case.resolution_failures") \
  X(kCaseSeverityRaised, "case.severity_raised")       \
  X(kCaseRisk, "case.risk")                            \
  X(kCaseRoles, "case.roles")                          \
  X(kCaseContained, "case.contained")                  \
  X(kCaseBreached, "case.breached")                    \
  X(kCaseSeverityScore, "case.severity_score")         \
  X(kCaseAssetCriticality, "case.asset_criticality")    \
  X(kCaseIdentityCriticality, "case.identity_criticality") \
  X(kCaseDrill, "case.drill")

namespace field {
#define TRIAGED_X(id, name) id,
enum AlertField : FieldId { TRIAGED_ALERT_FIELDS(TRIAGED_X) kAlertFieldCount };
enum CaseField : FieldId { TRIAGED_CASE_FIELDS(TRIAGED_X) kCaseFieldCount };
#undef TRIAGED_X
}  // namespace field

// Names to ids. Built while tables and rules are compiled, immutable afterwards; then any thread may read it.
class FieldCatalog {
 public:
  enum class Taxonomy { kAlert, kCase };
  explicit FieldCatalog(Taxonomy taxonomy);
  // Movable only: ids_ points into names_.
  FieldCatalog(const FieldCatalog&) = delete;
  FieldCatalog& operator=(const FieldCatalog&) = delete;
  FieldCatalog(FieldCatalog&&) = default;
  FieldCatalog& operator=(FieldCatalog&&) = default;

  // The id of a normalised name, or kNoField.
  FieldId Find(std::string_view name) const;
  // As Find, but in the alert taxonomy any other name becomes a path into the raw document ("win.eventdata.image").
  // In the case taxonomy an unknown name gives kNoField: the caller reports it.
  FieldId Resolve(std::string_view name);
  // Resolve was asked for this field: a rule or policy may read it.
  bool Asked(FieldId id) const { return id < asked_.size() && asked_[id]; }

  std::string_view Name(FieldId id) const { return names_[id]; }
  Taxonomy taxonomy() const { return taxonomy_; }
  size_t size() const { return names_.size(); }              // ids are 0 … size()-1
  size_t normalised_size() const { return normalised_; }     // ids from here on are raw paths
  std::vector<std::string_view> NormalisedNames() const;     // for "did you mean"

 private:
  Taxonomy taxonomy_;
  size_t normalised_;
  std::deque<std::string> names_;
  std::map<std::string_view, FieldId, std::less<>> ids_;
  std::vector<bool> asked_;
};

// The fields that are made of the partition's memory, when an alert is decided on; no source gives them.
inline bool IsBaselineField(FieldId id) {
  return id >= field::kBaselineReady && id <= field::kBaselineSourceFirstSeenOnHost;
}

enum class ValueKind : uint8_t { kString, kInteger, kUnsigned, kDouble, kBool, kNull };

// One value of a field. `text` is always set (numbers and booleans as JSON prints them; null is "null"); the bytes
// belong to the alert's document or arena and live until it is normalised anew.
struct Value {
  std::string_view text;
  union {
    int64_t integer;
    uint64_t unsigned_integer;
    double real;
    bool boolean;
  };
  std::string_view path;  // provenance: the path in the source document, or "" when computed ("triaged.*")
  ValueKind kind = ValueKind::kString;

  Value() : integer(0) {}
  explicit Value(std::string_view t, std::string_view p = {}) : text(t), integer(0), path(p) {}
};

// Field → its values (several for lists). Reused between alerts; Reset() keeps the memory. Values of one field must be
// added consecutively. Not thread-safe.
class FieldTable {
 public:
  // Empties the table and makes room for ids below `fields`.
  void Reset(size_t fields) {
    values_.clear();
    for (FieldId id : present()) ranges_[id] = Range{};
    present_count_ = 0;
    if (ranges_.size() < fields) {
      ranges_.resize(fields);
      present_.resize(fields);
    }
  }

  void Add(FieldId id, const Value& value) {
    Count(id);
    values_.push_back(value);
  }
  // As Add, made in place: quicker than copying a value that was written just before.
  Value& Add(FieldId id, std::string_view text, std::string_view path) {
    Count(id);
    return values_.emplace_back(text, path);
  }

  // As Add, for a field whose values may stand elsewhere: they move to the end. Spans taken before are void.
  void Append(FieldId id, const Value& value) {
    Range& range = ranges_[id];
    if (range.count > 0 && range.begin + range.count != values_.size()) {
      const auto begin = static_cast<uint32_t>(values_.size());
      for (uint32_t i = 0; i < range.count; ++i) values_.push_back(Value(values_[range.begin + i]));
      range.begin = begin;
    }
    Add(id, value);
  }

  std::span<const Value> Get(FieldId id) const {
    if (id >= ranges_.size()) return {};
    const Range range = ranges_[id];
    return {values_.data() + range.begin, range.count};
  }
  std::string_view First(FieldId id) const {
    auto values = Get(id);
    return values.empty() ? std::string_view{} : values.front().text;
  }
  bool Has(FieldId id) const { return id < ranges_.size() && ranges_[id].count > 0; }

  // Ids that have values, in the order they were added.
  std::span<const FieldId> present() const { return {present_.data(), present_count_}; }

 private:
  struct Range {
    uint32_t begin = 0;
    uint32_t count = 0;
  };
  // One more value of the field, at the end.
  void Count(FieldId id) {
    Range& range = ranges_[id];
    if (range.count == 0) {
      range.begin = static_cast<uint32_t>(values_.size());
      present_[present_count_++] = id;
    }
    ++range.count;
  }

  std::vector<Value> values_;
  std::vector<Range> ranges_;
  std::vector<FieldId> present_;  // room for all
  size_t present_count_ = 0;
};

}  // namespace triaged
