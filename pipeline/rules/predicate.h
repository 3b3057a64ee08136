// Predicates: the questions rules ask about one field, each distinct one kept once for the whole set.
//
// Holds() is the meaning of a predicate; the engine's index (field_matcher.h) only finds text predicates that hold
// faster. A predicate over a field with several values holds when any value makes it hold. A JSON null is a value for
// `exists` and `null` only.
#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/model/fields.h"
#include "pipeline/rules/pattern.h"

namespace triaged::rules {

using PredicateId = uint32_t;

// Stands for "every normalised value of the alert" (Sigma keywords).
inline constexpr FieldId kKeywords = kNoField;

enum class PredicateKind : uint8_t {
  kText,      // any of `patterns`
  kRegex,     // any of `regexes` is found
  kCidr,      // an address inside any of `networks`
  kCompare,   // a number that stands in `comparison` to any of `numbers`
  kFieldRef,  // equal to (or containing, …) any value of `other`
  kTimePart,  // a time whose `part` is any of `parts`
  kNull,      // no value, or null
  kExists,    // any value, null too
};

enum class Comparison : uint8_t { kLess, kLessEqual, kGreater, kGreaterEqual };
enum class TimePart : uint8_t { kMinute, kHour, kDay, kWeek, kMonth, kYear };

// An integer, or a decimal where `is_integer` is false.
struct Number {
  bool is_integer = true;
  int64_t integer = 0;
  double real = 0;
};
std::optional<Number> ParseNumber(std::string_view text);

// 16 bytes, IPv4 as ::ffff:a.b.c.d, so that an IPv4-mapped address is the IPv4 address.
struct Network {
  unsigned char bytes[16] = {};
  int prefix = 128;
};
std::optional<Network> ParseNetwork(std::string_view text);  // an address without "/n" is a network of one

struct Predicate {
  PredicateKind kind = PredicateKind::kText;
  FieldId field = 0;
  std::vector<Pattern> patterns;  // of kRegex: those of which one holds whenever it does; none: not known
  std::vector<std::shared_ptr<const re2::RE2>> regexes;
  std::vector<Network> networks;
  std::vector<Number> numbers;
  Comparison comparison = Comparison::kLess;
  FieldId other = 0;
  Anchor anchor = Anchor::kWhole;  // of kFieldRef
  bool cased = false;              // of kFieldRef
  TimePart part = TimePart::kMinute;
  std::vector<int64_t> parts;
  std::string key;      // equal keys mean equal predicates
  uint64_t weight = 0;  // steps for each byte of a value (budget.h)
};

// `normalised_size` bounds the fields that keywords read (FieldCatalog::normalised_size).
bool Holds(const Predicate& predicate, const FieldTable& fields, size_t normalised_size);

// The distinct predicates, in the order first seen. Immutable once compiled.
class PredicateTable {
 public:
  // `predicate.key` and `weight` need not be set.
  PredicateId Add(Predicate predicate);
  const std::vector<Predicate>& all() const { return predicates_; }
  std::vector<Predicate> Take() { return std::move(predicates_); }

 private:
  std::vector<Predicate> predicates_;
  std::map<std::string, PredicateId> ids_;
};

}  // namespace triaged::rules
