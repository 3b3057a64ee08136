// Enrichment: what files know about an alert, and what is wrong with them.
#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "daemon/config.h"
#include "pipeline/enrich/csv.h"
#include "pipeline/enrich/enrichment.h"
#include "pipeline/enrich/network.h"

namespace triaged {
namespace {

using Texts = std::vector<std::string>;

EnrichmentInput Input(EnrichmentKind kind, const std::string& name, const std::string& text) {
  EnrichmentInput input;
  input.spec.kind = kind;
  input.spec.feed = name.substr(0, name.find('.'));
  input.data = {"etc/" + name, text};
  return input;
}

// The rendered errors, or "" when the set compiles into `set`.
std::string Compile(const EnrichmentSources& sources, std::shared_ptr<const Enrichment>* set) {
  Diagnostics diagnostics;
  *set = Enrichment::Compile(sources, &diagnostics);
  CHECK((*set != nullptr) == !diagnostics.HasErrors());
  return diagnostics.Render();
}

std::string ErrorsOf(EnrichmentKind kind, const std::string& text, const std::string& name = "file.csv") {
  std::shared_ptr<const Enrichment> set;
  return Compile({{}, {Input(kind, name, text)}}, &set);
}

bool Contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

class Enriched {
 public:
  explicit Enriched(std::vector<EnrichmentInput> inputs) {
    const std::string errors = Compile({{}, std::move(inputs)}, &set_);
    REQUIRE_MESSAGE(set_, errors);
  }

  // The alert of these values, enriched; views live as long as this object.
  const Alert& Of(const std::vector<std::pair<FieldId, std::string>>& values, const char* at = "2026-03-02T08:00:00Z") {
    values_ = values;
    alert_.fields.Reset(field::kAlertFieldCount);
    alert_.event_time = *ParseTimestamp(at);
    for (const auto& [id, text] : values_) alert_.fields.Add(id, Value(text, "a.path"));
    set_->Apply(&alert_);
    return alert_;
  }
  Texts Get(FieldId id) const {
    Texts texts;
    for (const Value& value : alert_.fields.Get(id)) texts.emplace_back(value.text);
    return texts;
  }
  std::string First(FieldId id) const { return std::string(alert_.fields.First(id)); }
  std::string Path(FieldId id) const {
    const auto values = alert_.fields.Get(id);
    return values.empty() ? "" : std::string(values.front().path);
  }

 private:
  std::shared_ptr<const Enrichment> set_;
  std::vector<std::pair<FieldId, std::string>> values_;
  Alert alert_;
};

const char* const kAssets =
    "name,aliases,id,address,network,owner,criticality,zone\n"
    "db7.corp.example,db7-mgmt,CI7,10.20.0.11; 2001:db8::11,,Mina,critical,database\n"
    "build7,,,10.30.4.7,,Platform,medium,\n"
    "web.east.example,,,,,East,high,\n"
    "web.west.example,,,,,West,high,\n"
    ",,,,10.40.0.0/16,Facilities,low,building\n"
    ",,,,10.40.9.0/24,Lab,high,lab\n";

TEST_CASE("enrich: an asset is found by name, alias, id, address and the smallest network") {
  Enriched enriched({Input(EnrichmentKind::kAssets, "assets.csv", kAssets)});
  using namespace field;
  const auto owner = [&](FieldId id, const std::string& value) {
    enriched.Of({{id, value}});
    return enriched.First(kAssetOwner);
  };
  CHECK(owner(kHostName, "db7.corp.example") == "Mina");
  CHECK(owner(kHostName, "DB7.Corp.Example") == "Mina");
  CHECK(owner(kHostName, "db7.corp.example.") == "Mina");
  CHECK(owner(kHostName, "db7") == "Mina");                  // the one fully qualified name that begins so
  CHECK(owner(kHostName, "DB7-MGMT") == "Mina");
  CHECK(owner(kHostId, "ci7") == "Mina");
  CHECK(owner(kHostIp, "10.20.0.11") == "Mina");
  CHECK(owner(kHostName, "10.20.0.11") == "Mina");           // an address where a name should be
  CHECK(owner(kSourceIp, "2001:DB8:0:0::11") == "Mina");
  CHECK(owner(kSourceIp, "::ffff:10.20.0.11") == "Mina");
  CHECK(owner(kHostName, "build7.anything.example") == "Platform");  // listed by its short name alone
  CHECK(owner(kHostName, "web.east.example") == "East");
  CHECK(owner(kHostName, "web") == "");                      // two of them: neither
  CHECK(owner(kHostName, "db7.other.example") == "");        // listed with another domain
  CHECK(owner(kDestinationIp, "10.40.1.1") == "Facilities");
  CHECK(owner(kDestinationIp, "10.40.9.255") == "Lab");
  CHECK(owner(kDestinationIp, "10.40.10.0") == "Facilities");
  CHECK(owner(kDestinationIp, "10.41.0.0") == "");
  CHECK(owner(kSourceIp, "not an address") == "");
  CHECK(owner(kHostName, "") == "");
  CHECK(owner(kHostName, std::string(5000, 'x')) == "");
}

TEST_CASE("enrich: what is added says which line of which file it is from, and leaves the alert's own values") {
  Enriched enriched({Input(EnrichmentKind::kAssets, "assets.csv", kAssets)});
  using namespace field;
  enriched.Of({{kHostIp, "10.20.0.11"}});
  CHECK(enriched.First(kAssetCriticality) == "critical");
  CHECK(enriched.Path(kAssetCriticality) == "enrichment:assets.csv:2");
  CHECK(enriched.First(kHostName) == "db7.corp.example");
  CHECK(enriched.Path(kHostName) == "enrichment:assets.csv:2");
  enriched.Of({{kHostName, "renamed"}, {kHostIp, "10.20.0.11"}});
  CHECK(enriched.Get(kHostName) == Texts{"renamed"});
  CHECK(enriched.First(kAssetName) == "db7.corp.example");
  enriched.Of({{kSourceIp, "10.20.0.11"}});
  CHECK(enriched.Get(kHostName).empty());  // which side the alert is about is not said
  enriched.Of({{kSourceIp, "10.20.0.11"}, {kDestinationIp, "10.30.4.7"}});
  CHECK(enriched.Get(kAssetCriticality) == Texts{"critical", "medium"});
  CHECK(enriched.Get(kRelatedIp) == Texts{"10.20.0.11", "10.30.4.7"});
  CHECK(enriched.Path(kRelatedIp) == "a.path");
  enriched.Of({{kUserRoles, "own"}, {kHostName, "db7"}});
  CHECK(enriched.Get(kUserRoles) == Texts{"own"});
}

TEST_CASE("enrich: networks give names and zones, the smallest first, IPv6 too") {
  Enriched enriched({Input(EnrichmentKind::kNetworks, "networks.csv",
                           "network,name,zone\n10.16.0.0/12,corporate,internal\n10.20.0.0/16,data centre,servers\n"
                           "10.20.5.0/24,unzoned,\n2001:db8::/32,six,servers6\n::/0,everything6,\n" +
                               std::string(inet_ntoa({INADDR_ANY})) + "/0,world,internet\n")});
  using namespace field;
  enriched.Of({{kSourceIp, "10.20.5.9"}, {kDestinationIp, "2001:db8:1::1"}});
  CHECK(enriched.Get(kNetworkName) == Texts{"unzoned", "six"});
  CHECK(enriched.First(kSourceZone) == "servers");  // the one around it names the zone
  CHECK(enriched.First(kDestinationZone) == "servers6");
  enriched.Of({{kSourceIp, "10.21.0.0"}, {kDestinationIp, "255.255.255.255"}});
  CHECK(enriched.First(kSourceZone) == "internal");
  CHECK(enriched.First(kDestinationZone) == "internet");
}

TEST_CASE("enrich: an identity by name, domain, e-mail address and id") {
  Enriched enriched({Input(EnrichmentKind::kIdentities, "people.csv",
                           "name,domain,email,id,roles,criticality,privileged,vip\n"
                           "emi,CORP,emi@corp.example,S-1-5-21-1,domain admin; on-call,critical,yes,\n"
                           "emi,LAB,,,guest,,no,\n"
                           "ceo,,ceo@corp.example,,,high,0,TRUE\n")});
  using namespace field;
  const auto roles = [&](std::vector<std::pair<FieldId, std::string>> values) {
    enriched.Of(values);
    return enriched.Get(kUserRoles);
  };
  const Texts admin{"domain admin", "on-call"};
  CHECK(roles({{kUserName, "CORP\\Emi"}}) == admin);
  CHECK(roles({{kUserName, "emi"}, {kUserDomain, "corp"}}) == admin);
  CHECK(roles({{kUserName, "emi"}, {kUserDomain, "corp.example.com"}}) == admin);
  CHECK(roles({{kUserName, "EMI@corp.example"}}) == admin);
  CHECK(roles({{kUserId, "s-1-5-21-1"}}) == admin);
  CHECK(roles({{kUserName, "emi"}, {kUserDomain, "LAB"}}) == Texts{"guest"});
  CHECK(roles({{kUserName, "emi"}}).empty());                          // two people: neither
  CHECK(roles({{kUserName, "emi"}, {kUserDomain, "OTHER"}}).empty());
  CHECK(roles({{kUserName, "emi@evil.example"}}).empty());
  enriched.Of({{kDestinationUserName, "CEO"}, {kUserName, "corp\\emi"}});
  CHECK(enriched.Get(kIdentityCriticality) == Texts{"critical", "high"});
  CHECK(enriched.First(kIdentityPrivileged) == "true");
  CHECK(enriched.First(kIdentityVip) == "true");
  enriched.Of({{kUserName, "ANY\\ceo"}});  // the list names no domain: everybody of that name
  CHECK(enriched.First(kIdentityVip) == "true");
  CHECK(!enriched.Of({{kUserName, "ceo"}}).fields.Has(kIdentityPrivileged));
}

TEST_CASE("enrich: indicators count until they expire, at the alert's time") {
  Enriched enriched({Input(EnrichmentKind::kIndicators, "intel.csv",
                           "value,confidence,expires,description\n198.51.100.66,90,2026-03-02T08:00:00Z,bot\n"
                           "*.evil.example,,,kit\nEVIL.example,low,,\n2001:db8:bad::/48,,2027-01-01,\n"
                           "D41D8CD98F00B204E9800998ECF8427E,,,empty file\n"),
                     Input(EnrichmentKind::kIndicators, "block.txt", "# list\n198.51.100.0/24 ; wide\n198.51.100.66\n")});
  using namespace field;
  enriched.Of({{kSourceIp, "198.51.100.66"}}, "2026-03-02T07:59:59.999Z");
  CHECK(enriched.Get(kThreatFeedName) == Texts{"intel", "block"});
  CHECK(enriched.First(kThreatIndicatorConfidence) == "High");
  CHECK(enriched.First(kThreatIndicatorDescription) == "bot");
  CHECK(enriched.Get(kThreatIndicatorName) == Texts{"198.51.100.66", "198.51.100.0/24"});
  CHECK(enriched.First(kThreatMatchedField) == "source.ip");
  CHECK(enriched.Path(kThreatFeedName) == "enrichment:intel.csv");
  enriched.Of({{kSourceIp, "198.51.100.66"}}, "2026-03-02T08:00:00Z");
  CHECK(enriched.Get(kThreatFeedName) == Texts{"block"});
  enriched.Of({{kDestinationDomain, "login.EVIL.example"}});
  CHECK(enriched.First(kThreatIndicatorName) == "evil.example");
  CHECK(enriched.First(kThreatIndicatorType) == "domain-name");
  CHECK(enriched.Of({{kUrlDomain, "notevil.example"}}).fields.Has(kThreatFeedName) == false);
  enriched.Of({{kEmailFrom, "boss@evil.example"}});
  CHECK(enriched.First(kThreatMatchedField) == "email.from.address");
  enriched.Of({{kFileHashMd5, "d41d8cd98f00b204e9800998ecf8427e"}});
  CHECK(enriched.First(kThreatIndicatorType) == "file");
  enriched.Of({{kDestinationIp, "2001:db8:bad:1::1"}});
  CHECK(enriched.First(kThreatIndicatorType) == "ipv6-addr");
  enriched.Of({{kDestinationIp, "2001:db8:bad:1::1"}}, "2027-01-01T00:00:00Z");
  CHECK(enriched.Get(kThreatFeedName).empty());
}

TEST_CASE("enrich: what is known to be good is no indicator, and the alert says so") {
  auto good = Input(EnrichmentKind::kKnownGood, "good.txt", "8.8.8.8\nexample.com\n");
  good.spec.subdomains = true;
  Enriched enriched({good, Input(EnrichmentKind::kIndicators, "bad.txt", "8.8.8.8\n8.8.4.4\ncdn.example.com\n")});
  using namespace field;
  enriched.Of({{kDestinationIp, "8.8.8.8"}, {kUrlDomain, "cdn.example.com"}});
  CHECK(enriched.Get(kThreatFeedName).empty());
  CHECK(enriched.Get(kKnownGood) == Texts{"good"});
  enriched.Of({{kSourceIp, "8.8.4.4"}, {kDestinationIp, "8.8.8.8"}});
  CHECK(enriched.Get(kThreatIndicatorName) == Texts{"8.8.4.4"});
}

TEST_CASE("enrich: the shipped ATT&CK table fills in names and tactics, a new sub-technique through its technique") {
  const std::string folder = std::string(TRIAGED_SOURCE_DIR) + "/configs/enrichment/";
  const auto table = ReadSourceFile(folder + "attack.csv");
  REQUIRE(table);
  Enriched enriched({Input(EnrichmentKind::kAttack, "attack.csv", table->text)});
  using namespace field;
  enriched.Of({{kThreatTechniqueId, "T1003.001"}});
  CHECK(enriched.Get(kThreatTacticId) == Texts{"TA0006"});
  CHECK(enriched.Get(kThreatTacticName) == Texts{"Credential Access"});
  CHECK(enriched.Get(kThreatTechniqueName) == Texts{"LSASS Memory"});
  enriched.Of({{kThreatTechniqueId, "t1003.999"}});
  CHECK(enriched.Get(kThreatTechniqueName) == Texts{"OS Credential Dumping"});
  enriched.Of({{kThreatTechniqueId, "T1078"}});  // one technique, four tactics
  CHECK(enriched.Get(kThreatTacticId).size() == 4);
  enriched.Of({{kThreatTacticName, "Execution"}, {kThreatTechniqueId, "T1003"}});
  CHECK(enriched.Get(kThreatTacticName) == Texts{"Execution"});  // the source's own word stays
  CHECK(enriched.Get(kThreatTacticId).empty());
  enriched.Of({{kThreatTacticId, "TA0040"}});
  CHECK(enriched.Get(kThreatTacticName) == Texts{"Impact"});
  enriched.Of({{kThreatTechniqueId, "T9999"}});
  CHECK(enriched.Get(kThreatTacticName).empty());
}

TEST_CASE("enrich: every problem of a file at once, with line and snippet") {
  std::string errors = ErrorsOf(EnrichmentKind::kAssets,
                                "name,adress,criticality\na,1.2.3.4,critical\nb,,grave\nA,,low\nc,d\n\"e,,\n");
  CHECK(Contains(errors, "etc/file.csv:1: error: 'adress' is no column of assets"));
  CHECK(Contains(errors, "did you mean 'address'?"));
  CHECK(Contains(errors, "etc/file.csv:3: error: 'grave' is no criticality"));
  CHECK(Contains(errors, "etc/file.csv:4: error: this name or address is also that of enrichment:file.csv:2"));
  CHECK(Contains(errors, "etc/file.csv:5: error: 2 cells, but the header has 3"));
  CHECK(Contains(errors, "etc/file.csv:6: error: a quoted cell is never closed"));
  CHECK(Contains(errors, "A,,low"));
  errors = ErrorsOf(EnrichmentKind::kNetworks, "network,name\n10.1.0.0/12,a\n192.0.2.0/33,b\n10.16.0.0/12,c\n10.16.0.0/12,d\n");
  CHECK(Contains(errors, ":2: error: '10.1.0.0/12' is no network"));
  CHECK(Contains(errors, "bits are set beyond the prefix"));
  CHECK(Contains(errors, ":3: error"));
  CHECK(Contains(errors, "file.csv:5 names the same network as enrichment:file.csv:4"));
  errors = ErrorsOf(EnrichmentKind::kIndicators, "1.2.3.4\nevil[.]example\nhttp://a.example/x\n1.2.3.256\nabc\n", "list.txt");
  CHECK(Contains(errors, "list.txt:2: error: this is no indicator"));
  CHECK(Contains(errors, "defanged"));
  CHECK(Contains(errors, "list.txt:3"));
  CHECK(Contains(errors, "list.txt:4"));
  CHECK(Contains(errors, "list.txt:5"));
  errors = ErrorsOf(EnrichmentKind::kIdentities, "name,vip\na,maybe\na,yes\n,no\n");
  CHECK(Contains(errors, ":2: error: 'maybe' in column vip"));
  CHECK(Contains(errors, ":3: error"));
  CHECK(Contains(errors, ":4: error: an identity needs a name"));
  CHECK(Contains(ErrorsOf(EnrichmentKind::kAttack, "id,name,tactics\nT1,x,TA9\n"), "names the tactic 'TA9'"));
  CHECK(Contains(ErrorsOf(EnrichmentKind::kAssets, ""), "no header"));
  std::string many;
  for (int i = 0; i < 30; ++i) many += "nonsense\n";
  errors = ErrorsOf(EnrichmentKind::kIndicators, many, "list.txt");
  CHECK(Contains(errors, "list.txt:20"));
  CHECK(!Contains(errors, "list.txt:21"));
  CHECK(Contains(errors, "10 more problems in this file"));
}

TEST_CASE("enrich: the list of files is read strictly") {
  Diagnostics diagnostics;
  ReadEnrichmentList({"list.yaml",
                      "enrichment:\n  - {kind: asset, file: a.csv}\n  - {kind: assets, file: a.csv, columns: {nam: X}}\n"
                      "  - {kind: networks}\n  - {kind: networks, file: n.csv, feed: x}\n"
                      "  - {kind: assets, file: a.csv, criticality: {x: grave}}\n"
                      "  - {kind: indicators, file: i.txt, expires: soon, confidence: 101}\n"},
                     &diagnostics);
  const std::string errors = diagnostics.Render();
  for (const char* expected : {"list.yaml:2", "did you mean 'assets'?", "list.yaml:3", "did you mean 'name'?", "list.yaml:4",
                               "unknown key 'feed'", "'grave' is no criticality", "no time", "no confidence"}) {
    CHECK_MESSAGE(Contains(errors, expected), expected << "\n" << errors);
  }
}

TEST_CASE("enrich: the shipped lists and the example compile") {
  const std::string folder = std::string(TRIAGED_SOURCE_DIR) + "/configs/enrichment";
  Diagnostics diagnostics;
  const auto sources = ReadEnrichment({folder}, &diagnostics);
  CHECK(sources.inputs.size() == 7);
  const auto set = Enrichment::Compile(sources, &diagnostics);
  CHECK_MESSAGE(set, diagnostics.Render());
}

TEST_CASE("enrich: CSV as spreadsheets write it") {
  enrich::CsvReader csv("\xef\xbb\xbf# c\r\na;\"b;\"\"c\"\"\";d \r\n\r\n\"two\nlines\";;\"\"\r\nlast;x;y", ';');
  REQUIRE(csv.Next());
  CHECK(csv.cells() == std::vector<std::string_view>{"a", "b;\"c\"", "d"});
  CHECK(csv.line() == 2);
  REQUIRE(csv.Next());
  CHECK(csv.cells() == std::vector<std::string_view>{"two\nlines", "", ""});
  CHECK(csv.line() == 4);
  REQUIRE(csv.Next());
  CHECK(csv.line() == 6);
  CHECK(csv.cells().back() == "y");
  CHECK(!csv.Next());
  CHECK(csv.error().empty());
}

// Against the plain definition: of all networks that hold the address the one with the longest prefix.
TEST_CASE("enrich: longest prefix, against a linear search") {
  std::mt19937_64 random(20261121);
  for (int round = 0; round < 200; ++round) {
    enrich::NetworkTable table;
    std::vector<enrich::Network> networks;
    for (size_t i = 0; i < 1 + random() % 40; ++i) {
      bool host_bits = false;
      const int prefix = static_cast<int>(random() % 33);
      std::string text = std::to_string(random() % 4 * 64) + "." + std::to_string(random() % 4 * 64) + ".0." +
                         std::to_string(random() % 4 * 64) + "/" + std::to_string(prefix);
      if (random() % 5 == 0) text = "2001:db8:" + std::to_string(random() % 4) + "::/" + std::to_string(random() % 129);
      const auto network = enrich::ParseNetwork(text, &host_bits);
      REQUIRE(network);
      table.Add(*network, static_cast<uint32_t>(i));
      networks.push_back(*network);
    }
    table.Finish();
    for (int i = 0; i < 50; ++i) {
      std::string text = std::to_string(random() % 4 * 64) + "." + std::to_string(random() % 4 * 64) + ".0." +
                         std::to_string(random() % 256);
      if (random() % 5 == 0) text = "2001:db8:" + std::to_string(random() % 4) + "::" + std::to_string(random() % 9);
      const auto address = enrich::ParseAddressNumber(text);
      int longest = -1;
      for (const auto& network : networks) {
        if (network.first <= *address && *address <= network.Last()) longest = std::max(longest, network.prefix);
      }
      const uint32_t found = table.Find(*address);
      const int shown = found == enrich::kNone ? -1 : networks[table.number(found)].prefix;
      CHECK_MESSAGE(shown == longest, text << " in round " << round);
    }
  }
}

}  // namespace
}  // namespace triaged
