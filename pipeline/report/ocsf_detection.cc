// An alert as OCSF's Detection Finding.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "pipeline/report/ocsf.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

// What stands elsewhere in the finding, or is told by the class itself.
constexpr FieldId kComputed[] = {field::kTimestamp, field::kEventKind, field::kEventSeverity, field::kTriagedSeverity,
                                 field::kTriagedIsAlert, field::kTriagedFormat};

struct SeverityWord {
  int id;
  const char* caption;
};
SeverityWord SeverityOf(AlertSeverity severity) {
  switch (severity) {
    case AlertSeverity::kUnknown: return {0, "Unknown"};
    case AlertSeverity::kInformational: return {1, "Informational"};
    case AlertSeverity::kLow: return {2, "Low"};
    case AlertSeverity::kMedium: return {3, "Medium"};
    case AlertSeverity::kHigh: return {4, "High"};
    case AlertSeverity::kCritical: return {5, "Critical"};
  }
  return {0, "Unknown"};
}

class Finding {
 public:
  Finding(const Alert& alert, const FieldCatalog& catalog) : alert_(alert), catalog_(catalog) {}

  Json Make() {
    Head();
    json_["metadata"] = Metadata();
    json_["finding_info"] = FindingInfo();
    Action();
    if (Json device = Device(); !device.empty()) {
    json_["metadata"]["profiles"].push_back("host");
    json_["device"] = std::move(device);
  }
    if (Json evidence = Evidence(); !evidence.empty()) json_["evidences"] = Json::array({std::move(evidence)});
    Cloud();
    Unmapped();
    return std::move(json_);
  }

 private:
  std::string Take(FieldId id) {
    taken_.push_back(id);
    return std::string(alert_.fields.First(id));
  }
  void Put(Json* into, const char* key, FieldId id) {
    if (std::string text = Take(id); !text.empty()) (*into)[key] = std::move(text);
  }
  void PutNumber(Json* into, const char* key, FieldId id) {
    const std::string text = Take(id);
    const bool hex = text.starts_with("0x");  // Windows' process ids
    int64_t number = 0;
    const auto [end, error] =
        std::from_chars(text.data() + (hex ? 2 : 0), text.data() + text.size(), number, hex ? 16 : 10);
    if (error == std::errc() && end == text.data() + text.size() && !text.empty()) (*into)[key] = number;
  }
  static void PutObject(Json* into, const char* key, Json object) {
    if (!object.empty()) (*into)[key] = std::move(object);
  }
  // OCSF wants a pid or a uid of each process; a source that states no pid gets a uid within this finding.
  void Identify(Json* process, const char* role) const {
    if (!process->empty() && !process->contains("pid")) (*process)["uid"] = std::string(alert_.id) + "/" + role;
  }
  Json All(FieldId id) {
    taken_.push_back(id);
    Json list = Json::array();
    for (const Value& value : alert_.fields.Get(id)) list.push_back(std::string(value.text));
    return list;
  }

  void Head();
  Json Metadata();
  Json FindingInfo();
  Json Attacks();
  void Action();
  Json Device();
  Json Evidence();
  Json User();
  Json Process();
  Json File();
  Json Endpoint(FieldId ip, FieldId port, FieldId domain);
  Json Connection();
  void Cloud();
  void Unmapped();

  const Alert& alert_;
  const FieldCatalog& catalog_;
  Json json_ = Json::object();
  std::vector<FieldId> taken_{std::begin(kComputed), std::end(kComputed)};
};

void Finding::Head() {
  const int activity = alert_.is_update ? 2 : 1;
  const std::string name = alert_.is_update ? "Update" : "Create";
  json_["activity_id"] = activity;
  json_["activity_name"] = name;
  json_["category_uid"] = 2;
  json_["category_name"] = "Findings";
  json_["class_uid"] = 2004;
  json_["class_name"] = "Detection Finding";
  json_["type_uid"] = 200400 + activity;
  json_["type_name"] = "Detection Finding: " + name;
  json_["time"] = ToUnixMillis(alert_.event_time);
  const SeverityWord severity = SeverityOf(alert_.severity);
  json_["severity_id"] = severity.id;
  json_["severity"] = severity.caption;
  if (alert_.score >= 0) json_["risk_score"] = alert_.score;
  json_["is_alert"] = alert_.is_alert;
  Put(&json_, "message", field::kMessage);
}

Json Finding::Metadata() {
  Json metadata;
  metadata["version"] = kOcsfVersion;
  Json product;
  product["name"] = std::string(alert_.source);  // observer.product, or the format that read the alert
  taken_.push_back(field::kObserverProduct);
  Put(&product, "vendor_name", field::kObserverVendor);
  metadata["product"] = std::move(product);
  metadata["uid"] = Take(field::kEventId);
  Put(&metadata, "event_code", field::kEventCode);
  if (Json labels = All(field::kTags); !labels.empty()) metadata["labels"] = std::move(labels);
  Put(&metadata, "tenant_uid", field::kOrganizationId);
  return metadata;
}

// Techniques and tactics each as an entry of their own: which tactic goes with which technique the alert does not say.
Json Finding::Attacks() {
  Json attacks = Json::array();
  const auto pairs = [&](FieldId uid, FieldId name, auto take) {
    taken_.insert(taken_.end(), {uid, name});
    const auto uids = alert_.fields.Get(uid);
    const auto names = alert_.fields.Get(name);
    const bool aligned = uids.size() == names.size() || uids.empty();
    for (size_t i = 0; i < std::max(uids.size(), aligned ? names.size() : 0); ++i) {
      Json entry;
      if (i < uids.size()) entry["uid"] = std::string(uids[i].text);
      if (aligned && i < names.size()) entry["name"] = std::string(names[i].text);
      attacks.push_back(take(std::move(entry)));
    }
  };
  pairs(field::kThreatTechniqueId, field::kThreatTechniqueName, [](Json entry) {
    const std::string uid = entry.value("uid", "");
    const size_t dot = uid.find('.');
    Json attack;
    if (dot == std::string::npos) {
      attack["technique"] = std::move(entry);
    } else {
      attack["technique"]["uid"] = uid.substr(0, dot);
      attack["sub_technique"] = std::move(entry);
    }
    return attack;
  });
  pairs(field::kThreatTacticId, field::kThreatTacticName, [](Json entry) { return Json{{"tactic", std::move(entry)}}; });
  return attacks;
}

Json Finding::FindingInfo() {
  Json info;
  info["uid"] = std::string(alert_.id);
  const std::string rule = Take(field::kRuleName);
  const std::string_view message = alert_.fields.First(field::kMessage);
  info["title"] = !rule.empty() ? rule : !message.empty() ? std::string(message) : "Alert " + std::string(alert_.id);
  Put(&info, "desc", field::kRuleDescription);
  info["created_time"] = ToUnixMillis(alert_.event_time);
  Put(&info, "src_url", field::kEventUrl);
  Json analytic;
  Put(&analytic, "uid", field::kRuleId);
  if (!rule.empty()) analytic["name"] = rule;
  Put(&analytic, "category", field::kRuleCategory);
  if (!analytic.empty()) {
    analytic["type_id"] = 1;
    analytic["type"] = "Rule";
    info["analytic"] = std::move(analytic);
  }
  if (Json attacks = Attacks(); !attacks.empty()) info["attacks"] = std::move(attacks);
  return info;
}

// The Security Control profile, where the source says what it did.
void Finding::Action() {
  const std::string action = Take(field::kEventAction);
  if (action.empty()) return;
  const bool allowed = action == "allowed" || action == "allow";
  const bool denied = action == "denied" || action == "deny" || action == "blocked" || action == "block";
  json_["metadata"]["profiles"].push_back("security_control");
  json_["action_id"] = allowed ? 1 : denied ? 2 : 99;
  json_["action"] = action;
  json_["disposition_id"] = allowed ? 1 : denied ? 2 : 99;
  json_["disposition"] = allowed ? "Allowed" : denied ? "Blocked" : action;
}

Json Finding::Device() {
  Json device;
  Put(&device, "hostname", field::kHostName);
  Put(&device, "uid", field::kHostId);
  Put(&device, "ip", field::kHostIp);
  Put(&device, "mac", field::kHostMac);
  const auto addresses = alert_.fields.Get(field::kHostIp);
  for (size_t i = 1; i < addresses.size(); ++i) {
    device["network_interfaces"].push_back({{"ip", std::string(addresses[i].text)}, {"type_id", 0}});
  }
  if (device.empty()) return device;  // an operating system alone is no device
  if (const std::string os = Take(field::kHostOs); !os.empty()) device["os"] = {{"name", os}, {"type_id", 0}};
  // OCSF wants more than a MAC.
  if (!device.contains("hostname") && !device.contains("uid") && !device.contains("ip")) device["uid"] = device["mac"];
  device["type_id"] = 0;
  return device;
}

Json Finding::User() {
  Json user;
  Put(&user, "name", field::kUserName);
  Put(&user, "uid", field::kUserId);
  Put(&user, "email_addr", field::kUserEmail);
  Put(&user, "domain", field::kUserDomain);
  Put(&user, "full_name", field::kUserFullName);
  // OCSF wants a name or a uid of each user.
  if (!user.empty() && !user.contains("name") && !user.contains("uid")) {
    user["name"] = user.value("email_addr", user.value("full_name", "unknown"));
  }
  return user;
}

Json Finding::Process() {
  Json process;
  Put(&process, "name", field::kProcessName);
  PutNumber(&process, "pid", field::kProcessPid);
  Put(&process, "cmd_line", field::kProcessCommandLine);
  const std::string path = Take(field::kProcessExecutable);
  if (!path.empty()) process["file"] = {{"name", path.substr(path.find_last_of("/\\") + 1)}, {"path", path}, {"type_id", 1}};
  Json parent;
  Put(&parent, "name", field::kProcessParentName);
  Put(&parent, "cmd_line", field::kProcessParentCommandLine);
  Identify(&parent, "parent");
  PutObject(&process, "parent_process", std::move(parent));
  Identify(&process, "process");
  return process;
}

Json Finding::File() {
  Json file;
  Put(&file, "name", field::kFileName);
  Put(&file, "path", field::kFilePath);
  struct Hash {
    FieldId id;
    int algorithm;
    const char* name;
  };
  for (const Hash& hash : {Hash{field::kFileHashMd5, 1, "MD5"}, Hash{field::kFileHashSha1, 2, "SHA-1"},
                           Hash{field::kFileHashSha256, 3, "SHA-256"}}) {
    const std::string value = Take(hash.id);
    if (value.empty()) continue;
    file["hashes"].push_back({{"algorithm_id", hash.algorithm}, {"algorithm", hash.name}, {"value", value}});
  }
  if (file.empty()) return file;
  if (!file.contains("name")) {
    const std::string path = file.value("path", "");
    file["name"] = path.empty() ? "unknown" : path.substr(path.find_last_of("/\\") + 1);
  }
  file["type_id"] = 1;
  return file;
}

Json Finding::Endpoint(FieldId ip, FieldId port, FieldId domain) {
  Json endpoint;
  Put(&endpoint, "ip", ip);
  Put(&endpoint, "hostname", domain);
  if (!endpoint.empty()) PutNumber(&endpoint, "port", port);  // a port alone is no endpoint in OCSF
  return endpoint;
}

Json Finding::Connection() {
  Json connection;
  Put(&connection, "protocol_name", field::kNetworkTransport);
  const std::string direction = Take(field::kNetworkDirection);
  if (!direction.empty()) connection["direction"] = direction;
  if (connection.empty()) return connection;
  const bool in = direction == "inbound" || direction == "ingress";
  const bool out = direction == "outbound" || direction == "egress";
  connection["direction_id"] = direction.empty() ? 0 : in ? 1 : out ? 2 : 99;
  return connection;
}

Json Finding::Evidence() {
  Json evidence;
  Json actor;
  PutObject(&actor, "user", User());
  PutObject(&evidence, "actor", std::move(actor));
  PutObject(&evidence, "process", Process());
  PutObject(&evidence, "file", File());
  PutObject(&evidence, "src_endpoint", Endpoint(field::kSourceIp, field::kSourcePort, field::kSourceDomain));
  PutObject(&evidence, "dst_endpoint",
            Endpoint(field::kDestinationIp, field::kDestinationPort, field::kDestinationDomain));
  PutObject(&evidence, "connection_info", Connection());
  Json query, user, container, url;
  Put(&query, "hostname", field::kDnsQuestionName);
  PutObject(&evidence, "query", std::move(query));
  Put(&user, "name", field::kUserTargetName);
  PutObject(&evidence, "user", std::move(user));
  Put(&container, "uid", field::kContainerId);
  Put(&container, "name", field::kContainerName);
  if (!container.empty() && evidence.empty()) evidence["data"] = container;  // a container alone is no evidence in OCSF
  PutObject(&evidence, "container", std::move(container));
  Put(&url, "url_string", field::kUrlFull);
  if (!url.empty()) Put(&url, "hostname", field::kUrlDomain);  // nor is a host name a URL
  PutObject(&evidence, "url", std::move(url));
  return evidence;
}

void Finding::Cloud() {
  const std::string provider = Take(field::kCloudProvider);
  const std::string account = Take(field::kCloudAccountId);
  const std::string region = Take(field::kCloudRegion);
  if (!provider.empty() || !account.empty() || !region.empty()) {
    json_["metadata"]["profiles"].push_back("cloud");
    Json cloud;
    cloud["provider"] = provider.empty() ? "unknown" : provider;  // required by the profile
    if (!account.empty()) cloud["account"] = {{"uid", account}};
    if (!region.empty()) cloud["region"] = region;
    json_["cloud"] = std::move(cloud);
  }
  for (const Json& uid : All(field::kCloudResource)) json_["resources"].push_back({{"uid", uid}});
}

void Finding::Unmapped() {
  std::sort(taken_.begin(), taken_.end());
  Json rest = Json::object();
  for (FieldId id = 0; id < catalog_.normalised_size(); ++id) {
    if (!alert_.fields.Has(id) || std::binary_search(taken_.begin(), taken_.end(), id)) continue;
    Json values = All(id);
    rest[std::string(catalog_.Name(id))] = values.size() == 1 ? values.front() : values;
    std::sort(taken_.begin(), taken_.end());
  }
  if (!rest.empty()) json_["unmapped"] = std::move(rest);
}

}  // namespace

std::string OcsfDetectionFinding(const Alert& alert, const FieldCatalog& catalog) {
  return Finding(alert, catalog).Make().dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace triaged
