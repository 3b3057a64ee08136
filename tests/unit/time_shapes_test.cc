// The short way of the commonest times must read what the strict reader reads (normalise_test.cc has the shapes).
#include "pipeline/normalise/time_shapes.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

namespace triaged {

TEST_CASE("ISO times, right and nearly right, are read as the strict reader reads them") {
  const std::string forms[] = {"2026-03-02T08:00:00Z",      "2026-03-02T08:00:00.1Z",       "2024-02-29T23:59:59.123456789Z",
                               "2026-12-31T23:59:60Z",      "0001-01-01T00:00:00+01:30",    "9999-12-31T23:59:59.999-23:59",
                               "2026-03-02T08:00:00.+00:00", "1969-12-31T23:59:59.9999-00:01"};
  std::mt19937 random(20260302);
  size_t read = 0;
  for (int i = 0; i < 300'000; ++i) {
    std::string text = forms[random() % std::size(forms)];
    const size_t changes = random() % 4;
    for (size_t c = 0; c < changes; ++c) {
      const bool digit = random() % 8 != 0;
      text[random() % text.size()] = digit ? static_cast<char>('0' + random() % 10) : ":.-+TZ /\x80\xff"[random() % 10];
    }
    const auto strict = ParseTimestamp(text);
    if (!strict) continue;
    ++read;
    INFO(text);
    const auto time = ParseTimeShape(Value(text));
    REQUIRE(time.has_value());
    REQUIRE(time->at == *strict);
    REQUIRE(!time->zone_assumed);
    if (text.size() < 6 || text[text.size() - 3] != ':' || text.back() == 'Z') continue;
    std::string joined = text;  // +0130
    joined.erase(joined.size() - 3, 1);
    const auto same = ParseTimeShape(Value(joined));
    REQUIRE(same.has_value());
    REQUIRE(same->at == *strict);
  }
  CHECK(read > 50'000);
  for (const char* wrong : {"2026-02-29T08:00:00Z", "2026-13-02T08:00:00Z", "2026-03-02T24:00:00Z", "2026-03-02T08:60:00Z",
                            "2026-03-02T08:00:00+24:00", "2026-03-02T08:00:00.Z"}) {
    INFO(wrong);
    CHECK(!ParseTimeShape(Value(wrong)).has_value());
  }
}

}  // namespace triaged
