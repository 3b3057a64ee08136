// Keys of the store and of the changelog, which share them. Sequences are big-endian, so key order is id order.
//
//   b/ + 8-byte block number        what one step changed in the baseline
//   c/ + 8-byte sequence            a case
//   d/ + 8-byte block number        ids first seen in one step (dedup)
//   e/ + 8-byte sequence + 1 slot   the raw bytes of a piece of evidence
//   k/ + grouping key               sequence of the newest case opened under that key
//   p                               progress; the last of a step
//   r/ + correlation and group      the window of a correlation
//   s/ + id                         a silence
//   w/ + id                         a watch: a feed, or the escalations of a rule
//
// Keys that begin with a zero byte are the store's own and never in the changelog: position, format, partition.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace triaged {

inline constexpr std::string_view kBaselinePrefix = "b/";
inline constexpr std::string_view kCasePrefix = "c/";
inline constexpr std::string_view kSeenPrefix = "d/";
inline constexpr std::string_view kEvidencePrefix = "e/";
inline constexpr std::string_view kKeyIndexPrefix = "k/";
inline constexpr std::string_view kProgressKey = "p";
inline constexpr std::string_view kCorrelationPrefix = "r/";
inline constexpr std::string_view kSilencePrefix = "s/";
inline constexpr std::string_view kWatchPrefix = "w/";
inline constexpr char kLocalPrefix = '\0';
inline constexpr std::string_view kPositionKey{"\0position", 9};
inline constexpr std::string_view kFormatKey{"\0format", 7};
inline constexpr std::string_view kPartitionKey{"\0partition", 10};

// 10 bytes: short enough for std::string to hold without an allocation.
inline std::string NumberedKey(std::string_view prefix, uint64_t number) {
  std::string key(prefix);
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(number >> shift));
  return key;
}

inline std::string CaseKey(uint64_t sequence) { return NumberedKey(kCasePrefix, sequence); }
inline std::string SeenBlockKey(uint64_t block) { return NumberedKey(kSeenPrefix, block); }
inline std::string EvidenceKey(uint64_t sequence, uint8_t slot) {
  std::string key = NumberedKey(kEvidencePrefix, sequence);
  key.push_back(static_cast<char>(slot));
  return key;
}
inline std::string KeyIndexKey(std::string_view grouping_key) {
  std::string key(kKeyIndexPrefix);
  key += grouping_key;
  return key;
}

inline std::string SilenceKey(std::string_view id) {
  std::string key(kSilencePrefix);
  key += id;
  return key;
}

inline std::string CorrelationKey(std::string_view window) {
  std::string key(kCorrelationPrefix);
  key += window;
  return key;
}

inline std::string WatchKey(std::string_view id) {
  std::string key(kWatchPrefix);
  key += id;
  return key;
}

// The number in a key made by NumberedKey, or nullopt when the key has another shape.
inline std::optional<uint64_t> ParseNumberedKey(std::string_view prefix, std::string_view key) {
  if (key.size() != prefix.size() + 8 || !key.starts_with(prefix)) return std::nullopt;
  uint64_t number = 0;
  for (char byte : key.substr(prefix.size())) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

}  // namespace triaged
