// FewTexts: up to kMostFewTexts literals looked for at every place of a value, 32 places at a time.
//
// Each literal gives a fingerprint: its `width` rarest bytes in a row. The literals are dealt to eight buckets, and a
// table for each byte of the fingerprint says which buckets may have that byte there. A place whose tables share a
// bucket is a candidate; the caller verifies. The vector form (AVX2, asked of the processor at run time) only passes over
// places faster: both forms find the same candidates, so what they cost in steps is the same on every machine.
// Technique: "Teddy" of Intel's Hyperscan (SSSE3 nibble tables), with exact byte tables behind it.
// Immutable once built; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace triaged::rules {

inline constexpr size_t kMostFewTexts = 64;

class FewTexts {
 public:
  static constexpr size_t kMostWidth = 4;
  static constexpr size_t kBlock = 512;  // places that Candidates looks at in one call

  struct Source {
    std::string_view literal;
    size_t fingerprint = 0;  // where the fingerprint begins in `literal`
    uint32_t entry = 0;      // the caller's number
    uint32_t gram = 0;       // of the fingerprint, for the caller to tell the texts of a bucket apart
  };

  // `width` (2 to kMostWidth) is not more than the shortest literal. Letters stand for both cases.
  void Build(std::vector<Source> sources, size_t width);

  size_t shortest() const { return shortest_; }  // literal; no shorter value holds one
  size_t width() const { return width_; }

  struct Text {
    uint32_t gram;
    uint32_t fingerprint;
    uint32_t size;  // of the literal
    uint32_t entry;
  };
  struct Candidate {
    uint32_t place;    // of the fingerprint in the value
    uint32_t buckets;  // a bit for each bucket
  };
  // How to look: kPlain is there for tests, and what processors without the vectors do.
  enum class Form : uint8_t { kFastest, kPlain };
  // The candidates among places begin … begin + kBlock - 1 of `value`, ascending; returns how many. `begin` must leave
  // room for a fingerprint.
  size_t Candidates(std::string_view value, size_t begin, std::array<Candidate, kBlock>* found,
                    Form form = Form::kFastest) const;

  std::span<const Text> Bucket(size_t bucket) const {
    return {texts_.data() + begin_[bucket], begin_[bucket + 1] - begin_[bucket]};
  }

 private:
  static constexpr size_t kBuckets = 8;

  uint32_t BucketsAt(const char* at) const {
    uint32_t buckets = 0xff;
    for (size_t i = 0; i < width_; ++i) buckets &= exact_[i][static_cast<unsigned char>(at[i])];
    return buckets;
  }
  void AddToTables(std::string_view fingerprint, uint8_t bit);
  // Places begin … end - 1 one by one, and 32 at a time; the latter may read up to 32 + width - 1 bytes from each.
  size_t FindPlain(const char* value, size_t begin, size_t end, Candidate* found) const;
  size_t FindInCopy(std::string_view value, Candidate* found) const;
  size_t FindVector(const char* value, size_t begin, size_t end, Candidate* found) const;

  size_t width_ = kMostWidth;
  size_t shortest_ = kMostWidth;
  std::vector<Text> texts_;  // by bucket
  std::array<uint32_t, kBuckets + 1> begin_{};
  std::array<std::array<uint8_t, 256>, kMostWidth> exact_{};
  std::array<std::array<uint8_t, 16>, kMostWidth> low_{}, high_{};  // of the bytes' halves
};

}  // namespace triaged::rules
