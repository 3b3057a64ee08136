// How severe an alert is: the first source of its table that allows its value decides.
#include <charconv>

#include "pipeline/normalise/normaliser_impl.h"
#include "pipeline/normalise/words.h"

namespace triaged {
namespace {

// Scores per label and back (Elastic Security, "Create a detection rule": 21, 47, 73 and 99 are the labels' scores).
AlertSeverity LabelOf(int score) {
  if (score < 0) return AlertSeverity::kUnknown;
  if (score == 0) return AlertSeverity::kInformational;
  if (score <= 21) return score == 1 ? AlertSeverity::kInformational : AlertSeverity::kLow;
  if (score <= 47) return AlertSeverity::kMedium;
  return score <= 73 ? AlertSeverity::kHigh : AlertSeverity::kCritical;
}

constexpr size_t kScoreDigits = 3;  // of a score, at most 100

std::optional<double> NumberOf(const Value& value) {
  switch (value.kind) {
    case ValueKind::kInteger: return static_cast<double>(value.integer);
    case ValueKind::kUnsigned: return static_cast<double>(value.unsigned_integer);
    case ValueKind::kDouble: return value.real;
    case ValueKind::kString: break;
    default: return std::nullopt;
  }
  const std::string_view text = Trimmed(value.text);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// What a source makes of a value: a score (or kSaysNothing, kIllegal), and the words for how it came about.
constexpr int kIllegal = -2;
struct Scored {
  int score = kIllegal;
  std::string_view rule;
  bool scale_guessed = false;
};

Scored ScoreFrom(const SeveritySource& source, const Value& value) {
  const bool is_number = value.kind == ValueKind::kInteger || value.kind == ValueKind::kUnsigned || value.kind == ValueKind::kDouble;
  if (!source.words.empty() && (!is_number || !source.numbers)) {  // a number is no word, but where words are numbers
    const std::string_view text = Trimmed(value.text);
    for (const SeveritySource::Word& word : source.words) {
      if (word.text.size() == text.size() && EqualsLower(text, word.text)) return {word.score, word.rule};
    }
  }
  const auto number = NumberOf(value);
  if (!number || !(*number >= 0)) return {};  // "NaN" is a number to the reader
  const bool guess = !source.of_ten.empty() && *number > 0 && *number <= 10;
  const bool of_one = *number < 1 || (*number == 1 && value.kind == ValueKind::kDouble);  // "1.0" is its worst
  if (guess && of_one) return {static_cast<int>(*number * 100 + 0.5), source.of_one, true};
  const auto& bands = guess ? source.of_ten : source.bands;
  if (bands.empty()) {
    if (!source.numbers || *number > 100) return {};
    return {static_cast<int>(*number + 0.5), value.path};
  }
  const SeveritySource::Band* reached = nullptr;
  for (const auto& band : bands) {
    if (*number >= band.min) reached = &band;
  }
  return reached ? Scored{reached->score, reached->rule, guess} : Scored{};
}

}  // namespace

void Normaliser::Impl::MapSeverity() {
  alert.score = -1;
  std::string_view rule;
  bool illegal = false;
  for (size_t i = first_present[table->SlotOf(FormatTable::kSeverities)]; i < table->severity.size(); ++i) {
    const SeveritySource& source = table->severity[i];
    const Hit* hit = First(source.node);
    if (!hit) continue;
    const Scored scored = ScoreFrom(source, extraction.ValueOf(*hit));
    if (scored.score == kIllegal) {
      if (!illegal) Note("illegal_severity", extraction.Path(*hit));
      illegal = true;
    } else if (scored.score == kSaysNothing) {
      continue;
    } else if (alert.score < 0) {
      alert.score = static_cast<int16_t>(scored.score);
      rule = scored.rule;
      if (scored.scale_guessed) Note("severity_scale_guessed", extraction.Path(*hit));
    } else if (LabelOf(scored.score) != LabelOf(alert.score)) {
      Note("severity_conflict", scored.rule);  // the table's order decides
    }
  }
  alert.severity = LabelOf(alert.score);
  if (alert.score < 0) return Note("no_severity");
  char* const digits = extraction.Room(kScoreDigits);
  const auto end = std::to_chars(digits, digits + kScoreDigits, alert.score);
  Value& value = alert.fields.Add(field::kEventSeverity, {digits, static_cast<size_t>(end.ptr - digits)}, rule);
  value.kind = ValueKind::kInteger;
  value.integer = alert.score;
}

}  // namespace triaged
