// The shipped hand-off templates over case documents as the daemon writes them.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "pipeline/base/utf8.h"
#include "pipeline/report/handoff_view.h"
#include "pipeline/report/report.h"
#include "pipeline/report/words.h"
#include "tests/unit/report_cases.h"

namespace triaged {
namespace {

using test::At;
using test::CaseDice;
using test::Context;
using test::Seen;
using test::SocCase;

std::string Shipped(const std::string& language) {
  std::ifstream file(std::string(TRIAGED_SOURCE_DIR) + "/configs/templates/" + language + "/handoff.mustache");
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string Rendered(const Case& c, TextStyle style, Language language = Language::kEnglish) {
  const auto document = nlohmann::ordered_json::parse(CaseDocumentJson(c, At(912), Context()));
  const std::string text = Shipped(language == Language::kEnglish ? "en" : "ja");
  const auto rendered = RenderTemplateText("handoff", text, HandoffView(document, {language, {}}), style);
  REQUIRE(rendered.ok());
  return *rendered;
}

bool Contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("handoff: the shipped template says what the next one needs") {
  const std::string text = Rendered(SocCase(), TextStyle::kPlain);
  INFO(text);
  for (const char* part : {"case 3-17", "**Severity:** high", "### Requested\n- isolate db7", "svc_backup", "db7",
                           "ada", "host still reachable", "→ L2", "CET"}) {
    INFO(part);
    CHECK(Contains(text, part));
  }
  const std::string japanese = Rendered(SocCase(), TextStyle::kPlain, Language::kJapanese);
  CHECK(Contains(japanese, "3-17"));
  CHECK(Contains(japanese, "svc_backup"));
  CHECK(Contains(japanese, "年"));
}

TEST_CASE("handoff: every event of a case has a Japanese word") {
  for (size_t i = 0; i < kCaseEventTypeCount; ++i) {
    const std::string name(Name(static_cast<CaseEventType>(i)));
    CHECK_MESSAGE(Worded(name, Language::kJapanese) != name, name);
    CHECK(Worded(name, Language::kEnglish) == name);
  }
}

TEST_CASE("handoff: an alert cannot forge a heading, a link, markup or the direction of text") {
  Case c = SocCase();
  c.observed = {Seen(field::kHostName, "db7`\n# Closed\n[x](http://evil.example)", "host.name"),
                Seen(field::kHostName, "exe\xe2\x80\xaetxt", "host.name")};
  c.timeline.push_back({At(1), "note", "ada", "see <script>\n## Evidence"});
  for (const TextStyle style : {TextStyle::kMarkdown, TextStyle::kPlain, TextStyle::kHtml}) {
    const std::string text = Rendered(c, style);
    INFO(text);
    CHECK_FALSE(Contains(text, "\n# Closed"));
    CHECK_FALSE(Contains(text, "\n## Evidence"));
    CHECK_FALSE(Contains(text, "\xe2\x80\xae"));
    if (style == TextStyle::kPlain) continue;
    CHECK_FALSE(Contains(text, "<script>"));
    if (style == TextStyle::kMarkdown) CHECK_FALSE(Contains(text, "[x](http"));
  }
}

TEST_CASE("handoff: seeded cases render as valid UTF-8, the same bytes twice") {
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    INFO("seed ", seed);
    CaseDice dice(seed);
    const Case c = dice.Draw();
    const std::string text = Rendered(c, TextStyle::kMarkdown);
    REQUIRE(IsValidUtf8(text));
    REQUIRE(text == Rendered(c, TextStyle::kMarkdown));
  }
}

}  // namespace triaged
