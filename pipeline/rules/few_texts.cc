#include "pipeline/rules/few_texts.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "pipeline/base/check.h"

namespace triaged::rules {
namespace {

bool IsLetter(unsigned char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

#if defined(__x86_64__)
bool HasVectors() {
  static const bool has = __builtin_cpu_supports("avx2");
  return has;
}
#endif

}  // namespace

void FewTexts::Build(std::vector<Source> sources, size_t width) {
  TRIAGED_CHECK(sources.size() <= kMostFewTexts && width >= 2 && width <= kMostWidth);
  width_ = width;
  shortest_ = SIZE_MAX;
  for (const Source& source : sources) shortest_ = std::min(shortest_, source.literal.size());
  // Like fingerprints share a bucket: it then has fewer bytes at each place.
  const auto fingerprint = [width](const Source& s) { return s.literal.substr(s.fingerprint, width); };
  std::sort(sources.begin(), sources.end(), [&](const Source& a, const Source& b) {
    const int order = fingerprint(a).compare(fingerprint(b));
    return order != 0 ? order < 0 : a.entry < b.entry;
  });
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    const size_t end = sources.size() * (bucket + 1) / kBuckets;
    for (; texts_.size() < end;) {
      const Source& source = sources[texts_.size()];
      AddToTables(fingerprint(source), static_cast<uint8_t>(1u << bucket));
      texts_.push_back({source.gram, static_cast<uint32_t>(source.fingerprint),
                        static_cast<uint32_t>(source.literal.size()), source.entry});
    }
    begin_[bucket + 1] = static_cast<uint32_t>(end);
  }
}

void FewTexts::AddToTables(std::string_view fingerprint, uint8_t bit) {
  for (size_t i = 0; i < fingerprint.size(); ++i) {
    const auto c = static_cast<unsigned char>(fingerprint[i]);
    for (const unsigned char byte : {c, IsLetter(c) ? static_cast<unsigned char>(c ^ 0x20) : c}) {
      exact_[i][byte] |= bit;
      low_[i][byte & 15] |= bit;
      high_[i][byte >> 4] |= bit;
    }
  }
}

size_t FewTexts::Candidates(std::string_view value, size_t begin, std::array<Candidate, kBlock>* found,
                            [[maybe_unused]] Form form) const {
  const size_t last = value.size() - width_ + 1;
  const size_t end = std::min(last, begin + kBlock);
#if defined(__x86_64__)
  if (form == Form::kFastest && HasVectors()) {
    if (end - begin >= 32) return FindVector(value.data(), begin, end, found->data());
    if (begin == 0 && value.size() >= 8) return FindInCopy(value, found->data());
  }
#endif
  return FindPlain(value.data(), begin, end, found->data());
}

size_t FewTexts::FindPlain(const char* value, size_t begin, size_t end, Candidate* found) const {
  size_t count = 0;
  for (size_t place = begin; place < end; ++place) {
    const uint32_t buckets = BucketsAt(value + place);
    if (buckets != 0) found[count++] = {static_cast<uint32_t>(place), buckets};
  }
  return count;
}

#if defined(__x86_64__)
// A value of fewer than 32 places, moved to where there is room behind it. Places beyond its end do not count.
size_t FewTexts::FindInCopy(std::string_view value, Candidate* found) const {
  char room[32 + 2 * kMostWidth] = {};
  std::memcpy(room, value.data(), value.size());
  size_t count = FindVector(room, 0, 32, found);
  const size_t last = value.size() - width_;
  while (count > 0 && found[count - 1].place > last) --count;
  return count;
}

__attribute__((target("avx2"))) size_t FewTexts::FindVector(const char* value, size_t begin, size_t end,
                                                            Candidate* found) const {
  const __m256i half = _mm256_set1_epi8(15);
  __m256i low[kMostWidth];
  __m256i high[kMostWidth];
  for (size_t i = 0; i < kMostWidth; ++i) {
    low[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low_[i].data())));
    high[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(high_[i].data())));
  }
  size_t count = 0;
  for (size_t done = begin; done < end;) {
    // The last block begins earlier, and what was looked at before is masked out.
    const size_t at = std::min(done, end - 32);
    __m256i buckets = _mm256_set1_epi8(-1);
    for (size_t i = 0; i < width_; ++i) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(value + at + i));
      const __m256i by_low = _mm256_shuffle_epi8(low[i], _mm256_and_si256(bytes, half));
      const __m256i by_high = _mm256_shuffle_epi8(high[i], _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half));
      buckets = _mm256_and_si256(buckets, _mm256_and_si256(by_low, by_high));
    }
    const __m256i none = _mm256_cmpeq_epi8(buckets, _mm256_setzero_si256());
    uint32_t places = ~static_cast<uint32_t>(_mm256_movemask_epi8(none));
    places &= ~uint32_t{0} << (done - at);
    for (; places != 0; places &= places - 1) {
      const size_t place = at + static_cast<size_t>(std::countr_zero(places));
      const uint32_t exact = BucketsAt(value + place);
      if (exact != 0) found[count++] = {static_cast<uint32_t>(place), exact};
    }
    done = at + 32;
  }
  return count;
}
#endif

}  // namespace triaged::rules
