#include "pipeline/rules/encode.h"

#include <array>
#include <cstdint>

namespace triaged::rules {
namespace {

constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::string_view, 5> kDashes = {"-", "/", "\u2013", "\u2014", "\u2015"};

bool IsWordCode(uint16_t code) {
  if (code >= 256) return false;
  const unsigned char c = FoldByte(static_cast<unsigned char>(code));
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c >= 0x80;
}

// The length of the dash that stands at `at`, or 0.
size_t DashAt(const SigmaText& text, size_t at) {
  for (std::string_view dash : kDashes) {
    if (at + dash.size() > text.size()) continue;
    bool equal = true;
    for (size_t i = 0; i < dash.size() && equal; ++i) equal = text[at + i] == static_cast<unsigned char>(dash[i]);
    if (equal) return dash.size();
  }
  return 0;
}

// Reads one code point; false when the bytes are no UTF-8.
bool NextCodePoint(std::string_view utf8, size_t* at, uint32_t* code_point) {
  const unsigned char lead = static_cast<unsigned char>(utf8[*at]);
  size_t more = 0;
  if (lead < 0x80) {
    *code_point = lead;
  } else if (lead >= 0xC2 && lead < 0xE0) {
    *code_point = lead & 0x1Fu;
    more = 1;
  } else if (lead >= 0xE0 && lead < 0xF0) {
    *code_point = lead & 0x0Fu;
    more = 2;
  } else if (lead >= 0xF0 && lead < 0xF5) {
    *code_point = lead & 0x07u;
    more = 3;
  } else {
    return false;
  }
  if (*at + more >= utf8.size()) return false;
  for (size_t i = 1; i <= more; ++i) {
    const unsigned char c = static_cast<unsigned char>(utf8[*at + i]);
    if ((c & 0xC0) != 0x80) return false;
    *code_point = (*code_point << 6) | (c & 0x3Fu);
  }
  *at += more + 1;
  return *code_point <= 0x10FFFF;
}

}  // namespace

std::string Base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = bytes.size() - i;
    uint32_t group = static_cast<unsigned char>(bytes[i]) << 16;
    if (left > 1) group |= static_cast<unsigned char>(bytes[i + 1]) << 8;
    if (left > 2) group |= static_cast<unsigned char>(bytes[i + 2]);
    out.push_back(kBase64Digits[group >> 18]);
    out.push_back(kBase64Digits[(group >> 12) & 63]);
    out.push_back(left > 1 ? kBase64Digits[(group >> 6) & 63] : '=');
    out.push_back(left > 2 ? kBase64Digits[group & 63] : '=');
  }
  return out;
}

std::vector<std::string> Base64Offsets(std::string_view bytes) {
  std::vector<std::string> variants;
  for (size_t shift = 0; shift < 3; ++shift) {
    const std::string encoded = Base64(std::string(shift, '\0') + std::string(bytes));
    // A digit carries 6 bits; it is fixed when all of them belong to `bytes`.
    const size_t begin = (shift * 8 + 5) / 6;
    const size_t end = (shift + bytes.size()) * 8 / 6;
    if (end > begin) variants.push_back(encoded.substr(begin, end - begin));
  }
  return variants;
}

std::optional<std::string> ToUtf16(std::string_view utf8, Utf16 order) {
  std::string out;
  auto put = [&](uint32_t unit) {
    const char low = static_cast<char>(unit & 0xff);
    const char high = static_cast<char>(unit >> 8);
    if (order == Utf16::kBigEndian) {
      out.push_back(high);
      out.push_back(low);
    } else {
      out.push_back(low);
      out.push_back(high);
    }
  };
  if (order == Utf16::kWithMark) put(0xFEFF);
  for (size_t at = 0; at < utf8.size();) {
    uint32_t code_point = 0;
    if (!NextCodePoint(utf8, &at, &code_point)) return std::nullopt;
    if (code_point < 0x10000) {
      put(code_point);
    } else {
      put(0xD800 + ((code_point - 0x10000) >> 10));
      put(0xDC00 + ((code_point - 0x10000) & 0x3FF));
    }
  }
  return out;
}

std::vector<SigmaText> WindashVariants(const SigmaText& text) {
  std::vector<SigmaText> variants(1);
  int places = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t dash = DashAt(text, i);
    const bool opens_word = dash > 0 && (i == 0 || !IsWordCode(text[i - 1])) && i + dash < text.size() &&
                            IsWordCode(text[i + dash]) && DashAt(text, i + dash) == 0;
    if (!opens_word) {
      for (SigmaText& variant : variants) variant.push_back(text[i]);
      ++i;
      continue;
    }
    if (++places > kMaxWindashPlaces) return {};
    std::vector<SigmaText> grown;
    grown.reserve(variants.size() * kDashes.size());
    for (const SigmaText& variant : variants) {
      for (std::string_view spelling : kDashes) {
        grown.push_back(variant);
        for (char c : spelling) grown.back().push_back(static_cast<unsigned char>(c));
      }
    }
    variants = std::move(grown);
    i += dash;
  }
  return variants;
}

}  // namespace triaged::rules
