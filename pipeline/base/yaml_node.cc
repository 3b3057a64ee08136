// YamlNode's readings of scalars: YAML 1.2's core schema, without its octal, hexadecimal, infinite and NaN forms.
#include <charconv>

#include "pipeline/base/yaml.h"

namespace triaged {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

size_t CountDigits(std::string_view text) {
  size_t count = 0;
  while (count < text.size() && IsDigit(text[count])) ++count;
  return count;
}

// [0-9]* ( . [0-9]* )? ( [eE] [-+]? [0-9]+ )? with a digit before the exponent; the sign is already off.
bool IsNumber(std::string_view text) {
  size_t digits = CountDigits(text);
  text.remove_prefix(digits);
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    const size_t fraction = CountDigits(text);
    digits += fraction;
    text.remove_prefix(fraction);
  }
  if (digits == 0) return false;
  if (text.empty()) return true;
  if (text.front() != 'e' && text.front() != 'E') return false;
  text.remove_prefix(1);
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  return !text.empty() && CountDigits(text) == text.size();
}

}  // namespace

std::optional<bool> YamlNode::AsBool() const {
  if (!IsScalar() || quoted_) return std::nullopt;
  if (scalar_ == "true" || scalar_ == "True" || scalar_ == "TRUE") return true;
  if (scalar_ == "false" || scalar_ == "False" || scalar_ == "FALSE") return false;
  return std::nullopt;
}

std::optional<int64_t> YamlNode::AsInt() const {
  if (!IsScalar() || quoted_) return std::nullopt;
  std::string_view text = scalar_;
  if (!text.empty() && text.front() == '+') {
    text.remove_prefix(1);
    if (text.empty() || !IsDigit(text.front())) return std::nullopt;
  }
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> YamlNode::AsDouble() const {
  if (!IsScalar() || quoted_) return std::nullopt;
  std::string_view text = scalar_;
  const bool negative = !text.empty() && text.front() == '-';
  if (negative || (!text.empty() && text.front() == '+')) text.remove_prefix(1);
  if (!IsNumber(text)) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return negative ? -value : value;
}

const YamlNode* YamlNode::Find(std::string_view key) const {
  for (const Entry& entry : map_) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

}  // namespace triaged
