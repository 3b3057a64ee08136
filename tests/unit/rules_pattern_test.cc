// Sigma strings: escapes, wildcards, case, and the encodings.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "pipeline/rules/encode.h"
#include "pipeline/rules/pattern.h"

namespace triaged::rules {
namespace {

bool Whole(std::string_view pattern, std::string_view value, bool cased = false) {
  return Matches(MakePattern(ParseSigmaText(pattern), Anchor::kWhole, cased), value);
}

PatternKind KindOf(std::string_view pattern, Anchor anchor = Anchor::kWhole) {
  return MakePattern(ParseSigmaText(pattern), anchor, false).kind;
}

TEST_CASE("rules: a pattern is brought to its cheapest form") {
  CHECK(KindOf("cmd.exe") == PatternKind::kEquals);
  CHECK(KindOf("*cmd.exe") == PatternKind::kEndsWith);
  CHECK(KindOf("cmd*") == PatternKind::kStartsWith);
  CHECK(KindOf("**cmd**") == PatternKind::kContains);
  CHECK(KindOf("*") == PatternKind::kAny);
  CHECK(KindOf("a*b") == PatternKind::kGlob);
  CHECK(KindOf("a?b") == PatternKind::kGlob);
  CHECK(KindOf("*cmd*", Anchor::kEndsWith) == PatternKind::kContains);
  CHECK(KindOf("", Anchor::kContains) == PatternKind::kAny);
  CHECK(KindOf("") == PatternKind::kEquals);
}

TEST_CASE("rules: case is ignored for ASCII unless cased") {
  CHECK(Whole("CMD.exe", "cmd.EXE"));
  CHECK_FALSE(Whole("CMD.exe", "cmd.EXE", true));
  CHECK(Whole("CMD.exe", "CMD.exe", true));
  CHECK(Whole("Größe", "GRöße"));
  CHECK_FALSE(Whole("GRÖSSE", "größe"));
  CHECK_FALSE(Whole("a[", "a{"));  // bytes that differ in bit 0x20 only, but are no letters
}

TEST_CASE("rules: backslashes and escaped wildcards") {
  CHECK(Whole(R"(C:\Windows\cmd.exe)", R"(C:\Windows\cmd.exe)"));
  CHECK(Whole(R"(C:\\Windows)", R"(C:\Windows)"));
  CHECK(Whole(R"(what\?)", "what?"));
  CHECK_FALSE(Whole(R"(what\?)", "whats"));
  CHECK(Whole(R"(5 \* 3)", "5 * 3"));
  CHECK(Whole(R"(dir\\*)", R"(dir\anything)"));
  CHECK(Whole(R"(dir\\\*)", R"(dir\*)"));
  CHECK_FALSE(Whole(R"(dir\\\*)", R"(dir\x)"));
  CHECK(Whole(R"(\\\\server)", R"(\\server)"));
  CHECK(Whole(R"(\\\server)", R"(\\server)"));
  CHECK(Whole(R"(end\)", R"(end\)"));
}

TEST_CASE("rules: wildcards inside") {
  CHECK(Whole("prog?.exe", "progA.exe"));
  CHECK_FALSE(Whole("prog?.exe", "prog.exe"));
  CHECK(Whole("prog?.exe", "progé.exe"));  // one code point, two bytes
  CHECK(Whole("a*b*c", "a--b--b--c"));
  CHECK(Whole("a*b*c", "abc"));
  CHECK_FALSE(Whole("a*b*c", "acb"));
  CHECK(Whole("*a*b", "xaxab"));
  CHECK_FALSE(Whole("*a*b", "xaxabc"));
  CHECK(Whole("??", "ab"));
  CHECK_FALSE(Whole("??", "abc"));
  CHECK(Whole("*", ""));
  CHECK_FALSE(Whole("?", ""));
  CHECK_FALSE(Whole("", "x"));
}

TEST_CASE("rules: a hostile glob stays cheap") {
  const std::string value(20'000, 'a');
  CHECK_FALSE(Whole("a*a*a*a*a*a*a*a*b", value));
}

TEST_CASE("rules: base64 and its shifted forms") {
  CHECK(Base64("") == "");
  CHECK(Base64("f") == "Zg==");
  CHECK(Base64("fo") == "Zm8=");
  CHECK(Base64("foo") == "Zm9v");
  CHECK(Base64("foobar") == "Zm9vYmFy");
  // Whatever stands around the text, one of its three forms is in the encoding.
  const std::string text = "http://";
  const auto forms = Base64Offsets(text);
  REQUIRE(forms.size() == 3);
  for (size_t before = 0; before < 7; ++before) {
    for (size_t after = 0; after < 4; ++after) {
      const std::string encoded = Base64(std::string(before, 'q') + text + std::string(after, '~'));
      CHECK(encoded.find(forms[before % 3]) != std::string::npos);
    }
  }
}

TEST_CASE("rules: utf16") {
  CHECK(*ToUtf16("ab", Utf16::kLittleEndian) == std::string("a\0b\0", 4));
  CHECK(*ToUtf16("ab", Utf16::kBigEndian) == std::string("\0a\0b", 4));
  CHECK(*ToUtf16("a", Utf16::kWithMark) == std::string("\xFF\xFE"
                                                       "a\0",
                                                       4));
  CHECK(*ToUtf16("\U0001F600", Utf16::kLittleEndian) == std::string("\x3D\xD8\x00\xDE", 4));
  CHECK_FALSE(ToUtf16("\xC3", Utf16::kLittleEndian).has_value());
  CHECK_FALSE(ToUtf16("\xFF", Utf16::kLittleEndian).has_value());
}

TEST_CASE("rules: windash spells only dashes that open a word") {
  CHECK(WindashVariants(ParseSigmaText(" -enc")).size() == 5);
  CHECK(WindashVariants(ParseSigmaText("-a -b")).size() == 25);
  CHECK(WindashVariants(ParseSigmaText("foo-bar")).size() == 1);
  CHECK(WindashVariants(ParseSigmaText("a - b")).size() == 1);
  CHECK(WindashVariants(ParseSigmaText("-a -b -c -d -e")).empty());
}

}  // namespace
}  // namespace triaged::rules
