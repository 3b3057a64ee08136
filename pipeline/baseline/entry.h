// BaselineEntry: what is remembered of one key: a rule, a host, an account, an address, or a pair of them.
//
// Keys are hashes (StableHash64) of the alert's own texts. Two that collide share an entry: whoever chose a name so that
// it collides would have gained as much by choosing the known name itself.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>

namespace triaged {

enum class BaselineKind : uint8_t {
  kRule = 1,         // a detection rule of a product
  kRuleOnHost = 2,   // rule, host
  kRuleOfUser = 3,   // rule, account
  kHost = 4,
  kUser = 5,
  kSource = 6,       // source.ip
  kUserOnHost = 7,   // account, host
  kSourceOnHost = 8, // source.ip, host
};
inline constexpr size_t kBaselineKinds = 8;

struct BaselineKey {
  BaselineKind kind = BaselineKind::kRule;
  uint64_t first = 0;
  uint64_t second = 0;  // 0 where the kind has one part
  auto operator<=>(const BaselineKey&) const = default;
};

// The last day in periods of three hours, the present one begun: 21 to 24 hours.
inline constexpr uint32_t kPeriodHours = 3;
inline constexpr size_t kPeriods = 8;

struct BaselineEntry {
  BaselineKey key;
  uint64_t touched = 0;        // the order in which entries were last touched; unique, and the oldest goes first
  uint64_t mean = 0;           // decayed alerts of one hour, up to and without `hour`, in units of 2^-20
  uint32_t first_minute = 0;   // when it was first seen: minutes since 1970
  uint32_t hour = 0;           // the latest it was seen in: hours since 1970
  uint32_t count = 0;          // alerts in `hour`, where they are counted
  uint32_t previous = 0;       // … and in the hour before
  uint32_t members = 0;        // of a rule: hosts it was seen on, as far as they are remembered
  // Of a rule its hosts, of a host its rules: how many were seen last in each period. The period p stands at p % kPeriods.
  std::array<uint16_t, kPeriods> recent{};

  bool operator==(const BaselineEntry&) const = default;
};

// What holds for the table as a whole, and is stored beside the entries.
struct BaselineMarks {
  uint64_t next_touch = 1;     // of the next entry touched
  uint64_t oldest_touch = 1;   // entries touched before are forgotten, wherever they still stand
  uint32_t since_minute = 0;   // the first alert of all
  uint32_t clock_hour = 0;     // the latest that an entry was touched in
  bool operator==(const BaselineMarks&) const = default;
};

}  // namespace triaged
