// Times, durations, hashes, UTF-8 and diagnostics.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/hash.h"
#include "pipeline/base/time.h"
#include "pipeline/base/utf8.h"

namespace triaged {
namespace {

constexpr uint64_t kSeed = 20261121;

TEST_CASE("FormatTimestamp writes UTC with three fraction digits") {
  CHECK(FormatTimestamp(FromUnixMillis(0)) == "1970-01-01T00:00:00.000Z");
  CHECK(FormatTimestamp(FromUnixMillis(1)) == "1970-01-01T00:00:00.001Z");
  CHECK(FormatTimestamp(FromUnixMillis(-1)) == "1969-12-31T23:59:59.999Z");
  // date -u -d @1795234080 gives 2026-11-21 04:08:00.
  CHECK(FormatTimestamp(FromUnixMillis(1'795'234'080'000)) == "2026-11-21T04:08:00.000Z");
  CHECK(FormatTimestamp(FromUnixMillis(951'782'400'123)) == "2000-02-29T00:00:00.123Z");
}

TEST_CASE("FormatTimestamp keeps times beyond four-digit years at the edge") {
  CHECK(FormatTimestamp(FromUnixMillis(INT64_MAX)) == "9999-12-31T23:59:59.999Z");
  CHECK(FormatTimestamp(FromUnixMillis(INT64_MIN)) == "0000-01-01T00:00:00.000Z");
}

TEST_CASE("timestamps survive format and parse, and their texts sort like them") {
  std::mt19937_64 random(kSeed);
  CAPTURE(kSeed);
  std::uniform_int_distribution<int64_t> millis(-62'167'219'200'000, 253'402'300'799'999);
  for (int i = 0; i < 20'000; ++i) {
    const Timestamp a = FromUnixMillis(millis(random));
    const Timestamp b = FromUnixMillis(millis(random));
    const std::string text = FormatTimestamp(a);
    REQUIRE_MESSAGE(ParseTimestamp(text) == a, text);
    REQUIRE((a < b) == (text < FormatTimestamp(b)));
  }
}

TEST_CASE("ParseTimestamp reads every RFC 3339 form") {
  const Timestamp t = FromUnixMillis(1'795'234'080'000);
  for (std::string_view text :
       {"2026-11-21T04:08:00Z", "2026-11-21t04:08:00z", "2026-11-21T04:08:00.0Z", "2026-11-21T04:08:00.000999999Z",
        "2026-11-21T05:08:00+01:00", "2026-11-20T23:08:00-05:00", "2026-11-21T09:53:00+05:45",
        "2026-11-21T04:08:00-00:00", "2026-11-22T04:07:00+23:59"}) {
    CHECK_MESSAGE(ParseTimestamp(text) == t, text);
  }
  CHECK(ParseTimestamp("2026-11-21T04:08:00.5Z") == t + Duration(500));
  CHECK(ParseTimestamp("2026-11-21T04:08:00.12Z") == t + Duration(120));
  CHECK(ParseTimestamp("2026-11-21T04:08:00.123456789Z") == t + Duration(123));
  CHECK(ParseTimestamp("2024-02-29T00:00:00Z").has_value());
  CHECK(ParseTimestamp("2016-12-31T23:59:60Z") == ParseTimestamp("2017-01-01T00:00:00Z"));
  CHECK(ParseTimestamp("2016-12-31T15:59:60.5-08:00") == ParseTimestamp("2017-01-01T00:00:00.500Z"));
}

TEST_CASE("ParseTimestamp refuses everything else") {
  for (std::string_view text :
       {"", "2026-11-21", "2026-11-21T04:08:00", "2026-11-21 04:08:00Z", "2026-11-21T04:08Z", "2026-11-21T04:08:00.Z",
        "2026-11-21T04:08:00.1234567890Z", "2026-11-21T04:08:00+0100", "2026-11-21T04:08:00+01", "2026-11-21T24:00:00Z",
        "2026-11-21T04:60:00Z", "2026-11-21T04:08:61Z", "2026-11-21T04:08:60Z", "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z",
        "2026-11-21T04:08:00+24:00", "2026-11-21T04:08:00+00:60", " 2026-11-21T04:08:00Z", "2026-11-21T04:08:00Z ",
        "+026-11-21T04:08:00Z", "2026-1a-21T04:08:00Z", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
        "2026-11-21T04:08:00,5Z", "1795234080000", "2026-11-21T04:08:00ZZ", "2026-11-21T04:08:00+01:00Z"}) {
    CHECK_MESSAGE(!ParseTimestamp(text).has_value(), text);
  }
}

TEST_CASE("durations are read and written") {
  using namespace std::chrono_literals;
  const std::vector<std::pair<std::string_view, Duration>> both = {
      {"0", 0ms}, {"250ms", 250ms}, {"30s", 30s}, {"15m", 15min}, {"4h", 4h}, {"7d", 168h}, {"1h30m", 90min},
      {"1d2h3m4s5ms", 26h + 3min + 4s + 5ms}, {"1m1ms", 1min + 1ms}};
  for (const auto& pair : both) {
    CHECK_MESSAGE(ParseDuration(pair.first) == pair.second, pair.first);
    CHECK(FormatDuration(pair.second) == pair.first);
  }
  CHECK(ParseDuration("90m") == 90min);
  CHECK(ParseDuration("0s") == 0ms);
  CHECK(FormatDuration(-90min) == "-1h30m");
  CHECK(ParseDuration("9223372036854775807ms") == Duration::max());
  CHECK(ParseDuration(FormatDuration(Duration::max())) == Duration::max());
  CHECK(FormatDuration(Duration::min()).front() == '-');
}

TEST_CASE("ParseDuration refuses everything else") {
  for (std::string_view text : {"", "5", "00", "-5m", "+5m", "5 m", "5x", "m", "5M", "30m1h", "1h1h", "1.5h", "5ms1s",
                                "9223372036854775808ms", "106751991168d", "106751991167d24h", "1h ", " 1h", "1h0",
                                "5min", "1\xc3\xa9"}) {
    CHECK_MESSAGE(!ParseDuration(text).has_value(), text);
  }
}

TEST_CASE("Murmur2 is Kafka's") {
  // The values of org.apache.kafka.common.utils.Utils.murmur2, as its own tests have them.
  const std::vector<std::pair<std::string_view, int32_t>> known = {
      {"21", -973932308},
      {"foobar", -790332482},
      {"a-little-bit-long-string", -985981536},
      {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
      {"abc", 479470107}};
  for (const auto& pair : known) CHECK_MESSAGE(static_cast<int32_t>(Murmur2(pair.first)) == pair.second, pair.first);
}

TEST_CASE("PartitionForKey clears the sign bit, it does not negate") {
  CHECK(PartitionForKey("21", 1000) == static_cast<int32_t>((static_cast<uint32_t>(-973932308) & 0x7fffffffu) % 1000u));
  CHECK(PartitionForKey("abc", 12) == 479470107 % 12);
  CHECK(PartitionForKey("anything", 1) == 0);
  CHECK(PartitionForKey("", 7) >= 0);
}

TEST_CASE("StableHash64 never changes") {
  // Stored data depends on these values: a failure here means a change of the stored format.
  CHECK(StableHash64("") == 0x984a80fdd1a92889);
  CHECK(StableHash64("a") == 0x132176cd4115154a);
  CHECK(StableHash64("abcd") == 0x803b95d417fdf884);
  CHECK(StableHash64("abcd", 1) == 0x36d1ab2aacf44ac0);
  CHECK(StableHash64("triaged!") == 0x26937fbd91f4b36a);
  CHECK(StableHash64("0123456789abcdef") == 0x9b2cd125f08eb8d5);
  CHECK(StableHash64("0123456789abcdef0") == 0xac951907948a2703);
  CHECK(StableHash64("0123456789abcdef0123456789abcdef0") == 0xb68538104b085d2a);
  CHECK(StableHash64(std::string(1000, 'x')) == 0x9a73f6ca4e9df0a0);
}

TEST_CASE("StableHash64 tells texts of every length apart, wherever they lie in memory") {
  std::set<uint64_t> seen;
  const std::string zeros(300, '\0');
  const std::string shifted = "x" + zeros;
  for (size_t length = 0; length <= 300; ++length) {
    const uint64_t hash = StableHash64(std::string_view(zeros).substr(0, length));
    CHECK(seen.insert(hash).second);
    CHECK(hash == StableHash64(std::string_view(shifted).substr(1, length)));
  }
  // Every single byte counts, at every length and place.
  for (size_t length = 1; length <= 130; ++length) {
    std::string text(length, '\0');
    for (size_t i = 0; i < length; ++i) {
      text[i] = 1;
      CHECK(seen.insert(StableHash64(text)).second);
      text[i] = 0;
    }
  }
  CHECK(StableHash64("abc") != StableHash64("abc", 1));
}

TEST_CASE("StableHash64 changes half of the bits when one input bit changes") {
  std::mt19937_64 random(kSeed);
  CAPTURE(kSeed);
  for (size_t length : {3u, 4u, 7u, 8u, 12u, 16u, 17u, 24u, 32u, 33u, 64u, 100u}) {
    std::array<int, 64> flips{};
    constexpr int kRounds = 4000;
    for (int round = 0; round < kRounds; ++round) {
      std::string text(length, '\0');
      for (char& c : text) c = static_cast<char>(random());
      const uint64_t before = StableHash64(text);
      const size_t bit = random() % (length * 8);
      text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
      const uint64_t changed = before ^ StableHash64(text);
      for (size_t i = 0; i < 64; ++i) flips[i] += static_cast<int>(changed >> i & 1);
    }
    // 4000 fair coins: 45 % and 55 % are more than six standard deviations away.
    for (int count : flips) {
      CHECK_MESSAGE(count > kRounds * 45 / 100, "length ", length);
      CHECK_MESSAGE(count < kRounds * 55 / 100, "length ", length);
    }
  }
}

TEST_CASE("IsValidUtf8 follows table 3-7") {
  for (std::string_view text : {"", "plain", "Grüße", "日本語", "😀", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf",
                                "\xee\x80\x80", "eight by eight ü after"}) {
    CHECK_MESSAGE(IsValidUtf8(text), text);
    CHECK(SanitiseUtf8(text) == text);
    CHECK(FindInvalidUtf8(text) == text.size());
  }
  for (std::string_view text : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                                "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc3", "\xe6\x97", "\xf0\x9f\x98",
                                "12345678\xc3(", "\xe6(\x97"}) {
    CHECK_FALSE(IsValidUtf8(text));
    CHECK(IsValidUtf8(SanitiseUtf8(text)));
  }
  CHECK(FindInvalidUtf8("12345678ab\xc3(") == 10);
}

TEST_CASE("IsValidUtf8 agrees with the definition for all sequences of up to three bytes") {
  // Encode every code point below 0x10000 that is no surrogate; exactly these texts are one valid code point.
  std::set<std::string> valid;
  for (uint32_t c = 0; c < 0x10000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    std::string text;
    if (c < 0x80) {
      text = {static_cast<char>(c)};
    } else if (c < 0x800) {
      text = {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 0x3f))};
    } else {
      text = {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3f)),
              static_cast<char>(0x80 | (c & 0x3f))};
    }
    valid.insert(text);
  }
  int wrong = 0;
  for (uint32_t lead = 0x80; lead < 0x100; ++lead) {
    for (uint32_t second = 0; second < 0x100; ++second) {
      const std::string two = {static_cast<char>(lead), static_cast<char>(second)};
      wrong += IsValidUtf8(two) != valid.contains(two);
      for (uint32_t third = 0x80; third < 0xc0; ++third) {
        const std::string three = two + static_cast<char>(third);
        wrong += IsValidUtf8(three) != valid.contains(three);
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("CutAtCodePoint never cuts a character") {
  const std::string_view text = "aü日😀z";  // 1 + 2 + 3 + 4 + 1 bytes
  const std::vector<size_t> expected = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
  for (size_t max = 0; max < expected.size(); ++max) {
    CHECK_MESSAGE(CutAtCodePoint(text, max).size() == expected[max], max);
  }
  CHECK(CutAtCodePoint("\x80\x80\x80\x80\x80\x80\x80", 5).size() == 5);
  CHECK(CutAtCodePoint("", 0).empty());
}

TEST_CASE("SanitiseUtf8 replaces each broken part once") {
  CHECK(SanitiseUtf8("a\xff" "b") == "a\xef\xbf\xbd" "b");
  CHECK(SanitiseUtf8("\xe6\x97z") == "\xef\xbf\xbdz");
  CHECK(SanitiseUtf8("\xc0\x80") == "\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(SanitiseUtf8("\xf0\x9f\x98") == "\xef\xbf\xbd");
}

TEST_CASE("a diagnostic renders with place, source line, caret and hint") {
  Diagnostics diagnostics;
  CHECK_FALSE(diagnostics.HasErrors());
  diagnostics.Warning({"rules/a.yml", 0, 0}, "nothing matches");
  CHECK_FALSE(diagnostics.HasErrors());
  diagnostics.Error({"rules/a.yml", 3, 7}, "unknown key 'titel'", "\tgrüß: titel", "did you mean 'title'?");
  CHECK(diagnostics.HasErrors());
  CHECK(diagnostics.Render() ==
        "rules/a.yml: warning: nothing matches\n"
        "rules/a.yml:3:7: error: unknown key 'titel'\n"
        "  \tgrüß: titel\n"
        "  \t    ^\n"
        "  hint: did you mean 'title'?\n");
}

TEST_CASE("diagnostics can be appended, even to themselves") {
  Diagnostics a, b;
  a.Error({"f", 1, 1}, "one");
  b.Append(a);
  CHECK(b.HasErrors());
  b.Append(b);
  CHECK(b.items().size() == 2);
}

TEST_CASE("a caret beyond the shown part of the line is left out") {
  Diagnostics diagnostics;
  diagnostics.Error({"f", 1, 900}, "far away", "short");
  CHECK(diagnostics.Render() == "f:1:900: error: far away\n  short\n");
}

TEST_CASE("DidYouMean finds the nearest word and only a near one") {
  const std::vector<std::string_view> names = {"title", "tags", "severity", "verdict", "service"};
  CHECK(DidYouMean("titel", names) == "title");
  CHECK(DidYouMean("severty", names) == "severity");
  CHECK(DidYouMean("verdcit", names) == "verdict");
  CHECK(DidYouMean("tag", names) == "tags");
  CHECK(DidYouMean("completely", names).empty());
  CHECK(DidYouMean("title", {}).empty());
  CHECK(DidYouMean("ab", {"aa", "bb"}) == "aa");  // the first of equals
  CHECK(DidYouMean(std::string(100'000, 'a'), names).empty());
}

}  // namespace
}  // namespace triaged
