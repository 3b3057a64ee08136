// WireWriter and WireReader: the primitive encodings that stored records are made of.
//
// Little-endian fixed integers, LEB128 varints, zigzag for signed numbers, length-prefixed byte strings. Every value
// has exactly one encoding: the reader refuses overlong varints, so that encode(decode(x)) == x holds for all it
// accepts. The reader never reads past its input; after the first failure it stays failed and yields zeros and empty
// strings. Not thread-safe.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace triaged {

static_assert(std::endian::native == std::endian::little, "fixed integers are copied as they stand in memory");

class WireWriter {
 public:
  // Appends to `out`, which must outlive the writer.
  explicit WireWriter(std::string* out) : out_(out) {}

  void Byte(uint8_t value) { out_->push_back(static_cast<char>(value)); }
  void Fixed16(uint16_t value) { Raw(value); }
  void Fixed32(uint32_t value) { Raw(value); }
  void Fixed64(uint64_t value) { Raw(value); }
  void Varint(uint64_t value) {
    char buffer[10];
    size_t size = 0;
    for (; value >= 0x80; value >>= 7) buffer[size++] = static_cast<char>((value & 0x7f) | 0x80);
    buffer[size++] = static_cast<char>(value);
    out_->append(buffer, size);
  }
  void Zigzag(int64_t value) { Varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63)); }
  void Bytes(std::string_view bytes) {
    Varint(bytes.size());
    out_->append(bytes);
  }

 private:
  template <typename T>
  void Raw(T value) {
    char buffer[sizeof(T)];
    std::memcpy(buffer, &value, sizeof(T));
    out_->append(buffer, sizeof(T));
  }

  std::string* out_;
};

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  size_t remaining() const { return static_cast<size_t>(end_ - next_); }
  // Everything was read, and nothing failed.
  bool Done() const { return ok_ && next_ == end_; }
  void Fail() {
    ok_ = false;
    next_ = end_;
  }

  uint8_t Byte() { return Raw<uint8_t>(); }
  uint16_t Fixed16() { return Raw<uint16_t>(); }
  uint32_t Fixed32() { return Raw<uint32_t>(); }
  uint64_t Fixed64() { return Raw<uint64_t>(); }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (next_ == end_) break;
      const auto byte = static_cast<uint8_t>(*next_++);
      if (shift == 63 && byte > 1) break;  // beyond 64 bits
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte == 0 && shift > 0) break;  // overlong: a shorter encoding exists
        return value;
      }
    }
    Fail();
    return 0;
  }
  int64_t Zigzag() {
    const uint64_t raw = Varint();
    return static_cast<int64_t>((raw >> 1) ^ (~(raw & 1) + 1));
  }
  // A view into the input.
  std::string_view Bytes() {
    const uint64_t size = Varint();
    if (size > remaining()) {
      Fail();
      return {};
    }
    const std::string_view bytes(next_, size);
    next_ += size;
    return bytes;
  }

 private:
  template <typename T>
  T Raw() {
    T value = 0;
    if (remaining() < sizeof(T)) {
      Fail();
      return value;
    }
    std::memcpy(&value, next_, sizeof(T));
    next_ += sizeof(T);
    return value;
  }

  const char* next_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace triaged
