// Every modifier and every kind of value, through the engine and through Condition.
#include <arpa/inet.h>
#include <doctest/doctest.h>

#include "tests/unit/rules_test_util.h"

namespace triaged::rules_test {
namespace {

TEST_CASE("rules: plain values") {
  CHECK(SelectsText("process.name: CMD.exe", "process.name", "cmd.EXE"));
  CHECK_FALSE(SelectsText("process.name: cmd.exe", "process.name", "cmd.exe "));
  CHECK(SelectsText("process.name: [a.exe, b.exe]", "process.name", "b.exe"));
  CHECK_FALSE(SelectsText("process.name: cmd.exe", "process.executable", "cmd.exe"));
  CHECK(SelectsText("process.name: '*shell*.exe'", "process.name", "PowerShell_ise.exe"));
  CHECK(SelectsText("EventID: 4688", "EventID", "4688"));
  CHECK(Selects("EventID: 4688", [](Event& e) { e.Number("EventID", 4688); }));
  CHECK(Selects("win.flag: true", [](Event& e) { e.Text("win.flag", "true"); }));
}

TEST_CASE("rules: maps are and, lists of maps are or") {
  const auto both = [](Event& e) { e.Text("process.name", "a").Text("user.name", "b"); };
  CHECK(Selects("process.name: a\nuser.name: b", both));
  CHECK_FALSE(Selects("process.name: a\nuser.name: c", both));
  CHECK(Selects("- process.name: x\n- user.name: b", both));
  CHECK_FALSE(Selects("- process.name: x\n- user.name: y", both));
  CHECK_FALSE(Selects("- process.name: a\n  user.name: y\n- process.name: x", both));
}

TEST_CASE("rules: several values of one field") {
  const auto two = [](Event& e) { e.Text("host.ip", "10.0.0.1").Text("host.ip", "192.0.2.7"); };
  CHECK(Selects("host.ip: 192.0.2.7", two));
  CHECK(Selects("host.ip|startswith|all: ['10.', '192.']", two));
  CHECK_FALSE(Selects("host.ip|neq: 192.0.2.7", two));
}

TEST_CASE("rules: null, empty and exists") {
  const auto none = [](Event&) {};
  const auto null = [](Event& e) { e.Null("user.name"); };
  const auto empty = [](Event& e) { e.Text("user.name", ""); };
  const auto word = [](Event& e) { e.Text("user.name", "null"); };
  CHECK(Selects("user.name: null", none));
  CHECK(Selects("user.name: null", null));
  CHECK_FALSE(Selects("user.name: null", empty));
  CHECK_FALSE(Selects("user.name: null", word));
  CHECK(Selects("user.name: ''", empty));
  CHECK_FALSE(Selects("user.name: ''", none));
  CHECK_FALSE(Selects("user.name: ''", null));
  CHECK(Selects("user.name: 'null'", word));
  CHECK_FALSE(Selects("user.name: 'null'", null));
  CHECK(Selects("user.name|exists: true", null));
  CHECK(Selects("user.name|exists: true", empty));
  CHECK_FALSE(Selects("user.name|exists: true", none));
  CHECK(Selects("user.name|exists: false", none));
  CHECK_FALSE(Selects("user.name|exists: false", word));
  CHECK(Selects("user.name: '*'", empty));
  CHECK_FALSE(Selects("user.name: '*'", null));
  CHECK_FALSE(Selects("user.name: '*'", none));
  CHECK(Selects("user.name: [null, root]", none));
  CHECK(Selects("user.name|neq: null", word));
  CHECK_FALSE(Selects("user.name|neq: null", none));
}

TEST_CASE("rules: contains, startswith, endswith, all") {
  CHECK(SelectsText("message|contains: Fail", "message", "login FAILED"));
  CHECK(SelectsText("message|contains: 'log*failed'", "message", "user login has failed today"));
  CHECK_FALSE(SelectsText("message|contains: xyz", "message", "login failed"));
  CHECK(SelectsText("message|startswith: LOG", "message", "login failed"));
  CHECK_FALSE(SelectsText("message|startswith: failed", "message", "login failed"));
  CHECK(SelectsText("message|endswith: failed", "message", "login FAILED"));
  CHECK_FALSE(SelectsText("message|endswith: login", "message", "login failed"));
  CHECK(SelectsText("message|contains: [aaaa, fail]", "message", "login failed"));
  CHECK(SelectsText("message|contains|all: [login, fail]", "message", "login failed"));
  CHECK_FALSE(SelectsText("message|contains|all: [login, xyz]", "message", "login failed"));
  CHECK(SelectsText("message|contains: a", "message", "bab"));
  CHECK(SelectsText("message|endswith: [b, xyzw]", "message", "bab"));
  CHECK(SelectsText("message|contains: verylongtext", "message", "verylongtext"));
  CHECK_FALSE(SelectsText("message|contains: verylongtext", "message", "verylongtex"));
}

TEST_CASE("rules: cased") {
  CHECK(SelectsText("user.name|cased: Root", "user.name", "Root"));
  CHECK_FALSE(SelectsText("user.name|cased: Root", "user.name", "root"));
  CHECK(SelectsText("user.name|contains|cased: PowerShell", "user.name", "a PowerShell b"));
  CHECK_FALSE(SelectsText("user.name|contains|cased: PowerShell", "user.name", "a powershell b"));
}

TEST_CASE("rules: re with its flags") {
  CHECK(SelectsText("message|re: 'log.n'", "message", "the login"));
  CHECK_FALSE(SelectsText("message|re: 'LOG.N'", "message", "the login"));
  CHECK(SelectsText("message|re|i: 'LOG.N'", "message", "the login"));
  CHECK_FALSE(SelectsText("message|re: 'a.b'", "message", "a\nb"));
  CHECK(SelectsText("message|re|s: 'a.b'", "message", "a\nb"));
  CHECK_FALSE(SelectsText("message|re: '^b'", "message", "a\nb"));
  CHECK(SelectsText("message|re|m: '^b'", "message", "a\nb"));
  CHECK(SelectsText("message|re|all: ['a+', 'b+']", "message", "aabb"));
  CHECK(SelectsText("message|re: ['x', 'b$']", "message", "ab"));
}

TEST_CASE("rules: cidr") {
  CHECK(SelectsText("source.ip|cidr: 10.20.0.0/16", "source.ip", "10.20.255.2"));
  CHECK_FALSE(SelectsText("source.ip|cidr: 10.20.0.0/16", "source.ip", "10.21.0.1"));
  CHECK(SelectsText("source.ip|cidr: 192.168.10.0/23", "source.ip", "192.168.11.9"));
  CHECK_FALSE(SelectsText("source.ip|cidr: 192.168.10.0/23", "source.ip", "192.168.12.9"));
  CHECK(SelectsText("source.ip|cidr: 'fd00::/8'", "source.ip", "fd12::1"));
  CHECK_FALSE(SelectsText("source.ip|cidr: 'fd00::/8'", "source.ip", "fe80::1"));
  CHECK(SelectsText("source.ip|cidr: 10.20.0.0/16", "source.ip", "::ffff:10.20.1.1"));
  CHECK(SelectsText("source.ip|cidr: [172.16.0.0/12, 10.0.0.5/32]", "source.ip", "10.0.0.5"));
  const std::string every = std::string("source.ip|cidr: ") + inet_ntoa({INADDR_ANY}) + "/0";
  CHECK(SelectsText(every, "source.ip", "8.8.8.8"));
  CHECK_FALSE(SelectsText(every, "source.ip", "fe80::1"));
  CHECK_FALSE(SelectsText("source.ip|cidr: 10.20.0.0/16", "source.ip", "10.20.1"));
  CHECK_FALSE(SelectsText("source.ip|cidr: 10.20.0.0/16", "source.ip", "no address at all, and longer than any address"));
}

TEST_CASE("rules: numbers compared") {
  const auto port = [](Event& e) { e.Number("source.port", 1024); };
  CHECK(Selects("source.port|lt: 1025", port));
  CHECK_FALSE(Selects("source.port|lt: 1024", port));
  CHECK(Selects("source.port|lte: 1024", port));
  CHECK(Selects("source.port|gt: 1023", port));
  CHECK_FALSE(Selects("source.port|gt: 1024", port));
  CHECK(Selects("source.port|gte: 1024", port));
  CHECK(Selects("source.port|gt: 1023.5", port));
  CHECK(SelectsText("source.port|gte: 80", "source.port", "443"));
  CHECK_FALSE(SelectsText("source.port|gte: 80", "source.port", "https"));
  CHECK(Selects("risk|gt: 0.5", [](Event& e) { e.Real("risk", 0.75, "0.75"); }));
  CHECK(Selects("n|gt: 9007199254740992", [](Event& e) { e.Number("n", 9007199254740993); }));
}

TEST_CASE("rules: neq") {
  CHECK(SelectsText("destination.port|neq: 443", "destination.port", "80"));
  CHECK_FALSE(SelectsText("destination.port|neq: 443", "destination.port", "443"));
  CHECK_FALSE(SelectsText("destination.port|neq: [80, 443]", "destination.port", "80"));
  CHECK(Selects("destination.port|neq: 443", [](Event&) {}));
  CHECK(SelectsText("message|contains|neq: abc", "message", "xyz"));
  CHECK_FALSE(SelectsText("message|contains|neq: abc", "message", "xabcx"));
}

TEST_CASE("rules: fieldref") {
  const auto event = [](Event& e) {
    e.Text("user.name", "Ann").Text("user.target.name", "ann").Text("message", "by ann.");
  };
  CHECK(Selects("user.name|fieldref: user.target.name", event));
  CHECK_FALSE(Selects("user.name|fieldref|cased: user.target.name", event));
  CHECK_FALSE(Selects("user.name|fieldref: message", event));
  CHECK(Selects("message|fieldref|contains: user.name", event));
  CHECK_FALSE(Selects("message|fieldref|startswith: user.name", event));
  CHECK_FALSE(Selects("user.name|fieldref: host.name", event));
  CHECK_FALSE(Selects("user.name|fieldref|neq: user.target.name", event));
}

TEST_CASE("rules: windash and encodings") {
  CHECK(SelectsText("process.command_line|contains|windash: ' -enc '", "process.command_line", "ps /enc abc"));
  CHECK(SelectsText("process.command_line|windash|contains: ' -enc '", "process.command_line", "ps \u2015enc abc"));
  CHECK_FALSE(SelectsText("process.command_line|contains|windash: ' -enc '", "process.command_line", "ps +enc abc"));
  CHECK(SelectsText("p|base64: foobar", "p", "Zm9vYmFy"));
  CHECK_FALSE(SelectsText("p|base64: foobar", "p", "zm9vymfy"));
  CHECK(SelectsText("p|base64offset|contains: 'http://'", "p", "xxaHR0cDovLyyy"));
  CHECK(SelectsText("p|wide|base64: Test", "p", "VABlAHMAdAA="));
  CHECK(SelectsText("p|utf16le|base64: Test", "p", "VABlAHMAdAA="));
  CHECK(SelectsText("p|utf16be|base64: AB", "p", "AEEAQg=="));
  CHECK(SelectsText("p|utf16|base64: A", "p", "//5BAA=="));
}

TEST_CASE("rules: time parts") {
  const auto at = [](Event& e) { e.Text("t", "2026-11-21T04:08:30.5Z"); };
  CHECK(Selects("t|minute: 8", at));
  CHECK(Selects("t|hour: 4", at));
  CHECK_FALSE(Selects("t|hour: 5", at));
  CHECK(Selects("t|day: 21", at));
  CHECK(Selects("t|week: 47", at));
  CHECK(Selects("t|month: [10, 11]", at));
  CHECK(Selects("t|year: 2026", at));
  CHECK_FALSE(SelectsText("t|year: 2026", "t", "someday"));
}

TEST_CASE("rules: keywords look at all normalised values") {
  CHECK(SelectsText("- mimikatz\n- rubeus", "message", "found Mimikatz here"));
  CHECK(SelectsText("- mimikatz", "process.name", "MIMIKATZ.exe"));
  CHECK_FALSE(SelectsText("- mimikatz", "message", "nothing"));
  CHECK_FALSE(SelectsText("- mimikatz", "raw.field", "mimikatz"));
  CHECK(SelectsText("'|all': [found, here]", "message", "found Mimikatz here"));
  CHECK_FALSE(SelectsText("'|all': [found, there]", "message", "found Mimikatz here"));
  CHECK(SelectsText("'|re': 'm.m.katz'", "message", "found mimikatz here"));
  CHECK(Selects("'|all': [ann, db7]", [](Event& e) { e.Text("user.name", "ann").Text("host.name", "db7"); }));
  CHECK(SelectsText("- 'mimi*tz'", "message", "found mimikatz here"));
  CHECK(SelectsText("mimikatz", "message", "found mimikatz here"));
}

}  // namespace
}  // namespace triaged::rules_test
