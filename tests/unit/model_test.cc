// Field catalogues, field tables, ids, names and the distinct sketch.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "pipeline/base/hash.h"
#include "pipeline/model/alert.h"
#include "pipeline/model/case.h"
#include "pipeline/model/fields.h"
#include "pipeline/model/ids.h"
#include "pipeline/model/sketch.h"

namespace triaged {
namespace {

TEST_CASE("the alert catalogue knows the normalised names and learns paths") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  CHECK(catalog.size() == field::kAlertFieldCount);
  CHECK(catalog.normalised_size() == field::kAlertFieldCount);
  CHECK(catalog.Find("@timestamp") == field::kTimestamp);
  CHECK(catalog.Find("triaged.notes") == field::kTriagedNotes);
  CHECK(catalog.Name(field::kSourceIp) == "source.ip");

  CHECK(catalog.Find("win.eventdata.image") == kNoField);
  const FieldId path = catalog.Resolve("win.eventdata.image");
  CHECK(path == field::kAlertFieldCount);
  CHECK(catalog.Resolve("win.eventdata.image") == path);
  CHECK(catalog.Name(path) == "win.eventdata.image");
  CHECK(catalog.Find("win.eventdata.image") == kNoField);  // a path is no normalised name
  CHECK(catalog.Resolve("source.ip") == field::kSourceIp);
  CHECK(catalog.Resolve("") == kNoField);
  CHECK(catalog.normalised_size() == field::kAlertFieldCount);
  CHECK(catalog.size() == field::kAlertFieldCount + 1u);
}

TEST_CASE("the case catalogue learns nothing") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kCase);
  CHECK(catalog.Resolve("case.severity") == field::kCaseSeverity);
  CHECK(catalog.Resolve("case.severty") == kNoField);
  CHECK(catalog.Resolve("source.ip") == kNoField);
  CHECK(catalog.size() == field::kCaseFieldCount);
}

TEST_CASE("no name is there twice") {
  for (auto taxonomy : {FieldCatalog::Taxonomy::kAlert, FieldCatalog::Taxonomy::kCase}) {
    const auto names = FieldCatalog(taxonomy).NormalisedNames();
    CHECK(std::set<std::string_view>(names.begin(), names.end()).size() == names.size());
  }
}

TEST_CASE("a catalogue keeps its names when it grows and when it is moved") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const FieldId first = catalog.Resolve("p");
  for (int i = 0; i < 5000; ++i) catalog.Resolve("path." + std::to_string(i));
  FieldCatalog moved = std::move(catalog);
  CHECK(moved.Find("source.ip") == field::kSourceIp);
  CHECK(moved.Resolve("p") == first);
  CHECK(moved.Resolve("path.4999") == first + 5000);
}

TEST_CASE("a catalogue that is full gives no field") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  FieldId last = 0;
  for (size_t i = catalog.size(); i < kNoField; ++i) last = catalog.Resolve(std::to_string(i));
  CHECK(last == kNoField - 1);
  CHECK(catalog.Resolve("one more") == kNoField);
  CHECK(catalog.Resolve("and one more") == kNoField);
  CHECK(catalog.size() == kNoField);
  CHECK(catalog.Resolve("source.ip") == field::kSourceIp);
}

TEST_CASE("a field table is empty after Reset and keeps several values of a field") {
  FieldTable table;
  table.Reset(10);
  table.Add(3, Value("a", "x.a"));
  table.Add(3, Value("b", "x.b"));
  table.Add(1, Value("c"));
  REQUIRE(table.Get(3).size() == 2);
  CHECK(table.Get(3)[1].text == "b");
  CHECK(table.Get(3)[1].path == "x.b");
  CHECK(table.First(1) == "c");
  CHECK_FALSE(table.Has(2));
  CHECK_FALSE(table.Has(500));
  CHECK(table.present().size() == 2);
  table.Reset(4);
  CHECK(table.present().empty());
  CHECK_FALSE(table.Has(3));
}

TEST_CASE("case ids have one text each") {
  CHECK(ToString(CaseId{3, 17}) == "3-17");
  CHECK(ParseCaseId("3-17") == CaseId{3, 17});
  CHECK(ParseCaseId("0-1") == CaseId{0, 1});
  CHECK(ParseCaseId("2147483647-18446744073709551615") == CaseId{INT32_MAX, UINT64_MAX});
  for (std::string_view text : {"", "-", "3", "3-", "-17", "3-17-1", "03-17", "3-017", "+3-17", "3--17", " 3-17",
                                "3-17 ", "2147483648-1", "1-18446744073709551616", "a-1", "1-0x1"}) {
    CHECK_MESSAGE(!ParseCaseId(text).has_value(), text);
  }
}

TEST_CASE("names of enums are read back") {
  for (int i = 1; i <= 4; ++i) CHECK(ParseVerdict(Name(static_cast<Verdict>(i))) == static_cast<Verdict>(i));
  CHECK(Name(Verdict::kNone).empty());
  CHECK_FALSE(ParseVerdict("").has_value());
  CHECK_FALSE(ParseVerdict("True_positive").has_value());
  CHECK(Name(Verdict::kBenignTruePositive) == "benign_true_positive");

  for (size_t i = 0; i < kCaseStatusCount; ++i) {
    CHECK(ParseCaseStatus(Name(static_cast<CaseStatus>(i))) == static_cast<CaseStatus>(i));
  }
  CHECK(Name(CaseStatus::kWaitingForInfo) == "waiting_for_info");
  CHECK_FALSE(ParseCaseStatus("").has_value());
  CHECK_FALSE(ParseCaseStatus("opened").has_value());

  CHECK(Name(ClockKind::kAcknowledge) == "acknowledge");
  CHECK(Name(ClockKind::kResolve) == "resolve");
  CHECK(Name(ClockState::kPaused) == "paused");
  CHECK(Name(EscalationKind::kUnacknowledged) == "unacknowledged");
  CHECK(Name(AlertSeverity::kUnknown) == "unknown");
  CHECK(Name(AlertSeverity::kCritical) == "critical");
}

TEST_CASE("verdicts map to OCSF ids") {
  CHECK(OcsfVerdictId(Verdict::kNone) == 0);
  CHECK(OcsfVerdictId(Verdict::kFalsePositive) == 1);
  CHECK(OcsfVerdictId(Verdict::kTruePositive) == 2);
  CHECK(OcsfVerdictId(Verdict::kNeedsReview) == 4);
  CHECK(OcsfVerdictId(Verdict::kBenignTruePositive) == 5);
}

TEST_CASE("a sketch is exact while it is small") {
  DistinctSketch sketch;
  CHECK(sketch.Count() == 0);
  for (uint64_t i = 0; i < DistinctSketch::kExact - 1; ++i) {
    CHECK(sketch.Add(StableHash64(std::to_string(i))));
    CHECK_FALSE(sketch.Add(StableHash64(std::to_string(i / 2))));
    CHECK(sketch.Count() == i + 1);
  }
  CHECK(sketch.exact());
  CHECK(std::is_sorted(sketch.hashes().begin(), sketch.hashes().end()));
}

TEST_CASE("a sketch estimates large counts, keeps its bound and never goes back") {
  DistinctSketch sketch;
  uint64_t before = 0;
  for (uint64_t i = 1; i <= 100'000; ++i) {
    sketch.Add(StableHash64(std::to_string(i)));
    const uint64_t count = sketch.Count();
    REQUIRE(count >= before);
    before = count;
    if (i == 1'000 || i == 10'000 || i == 100'000) {
      // The standard error with 256 hashes is 1/sqrt(254), 6.3 %: 20 % is three of them.
      CHECK(count > i * 80 / 100);
      CHECK(count < i * 120 / 100);
    }
  }
  CHECK(sketch.hashes().size() == DistinctSketch::kExact);
  CHECK(std::is_sorted(sketch.hashes().begin(), sketch.hashes().end()));
}

TEST_CASE("a sketch does not depend on the order, and is restored from its hashes") {
  constexpr uint64_t kSeed = 7;
  CAPTURE(kSeed);
  std::mt19937_64 random(kSeed);
  std::vector<uint64_t> hashes(2'000);
  for (uint64_t& hash : hashes) hash = random();
  DistinctSketch a, b, c;
  for (uint64_t hash : hashes) a.Add(hash);
  std::shuffle(hashes.begin(), hashes.end(), random);
  for (uint64_t hash : hashes) b.Add(hash);
  CHECK(a == b);
  std::sort(hashes.begin(), hashes.end());
  CHECK(std::equal(a.hashes().begin(), a.hashes().end(), hashes.begin()));
  c.Restore(a.hashes());
  CHECK(c.Count() == a.Count());
}

TEST_CASE("a sketch holds with hashes at the edges") {
  DistinctSketch low, high;
  for (uint64_t i = 0; i < DistinctSketch::kExact; ++i) {
    low.Add(i);
    high.Add(UINT64_MAX - i);
  }
  CHECK(low.Count() > 1'000'000);  // all hashes at the bottom: a huge count, without overflow
  CHECK(high.Count() == DistinctSketch::kExact);
}

}  // namespace
}  // namespace triaged
