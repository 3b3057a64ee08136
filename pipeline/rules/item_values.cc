#include "pipeline/rules/item_values.h"

#include <utility>

#include "pipeline/rules/encode.h"
#include "pipeline/rules/lower.h"

namespace triaged::rules {
namespace {

// Reports the first contradiction between two modifiers that both say what kind of comparison it is.
class KindSetter {
 public:
  KindSetter(const ItemAst& item, SourceNotes* notes, ItemMeaning* meaning)
      : item_(item), notes_(notes), meaning_(meaning) {}

  void Kind(PredicateKind kind) {
    if (meaning_->kind != PredicateKind::kText) return Fail("more than one modifier says how to compare", "keep one of them");
    meaning_->kind = kind;
  }
  void SetAnchor(Anchor anchor) {
    if (meaning_->anchor != Anchor::kWhole) {
      return Fail("'contains', 'startswith' and 'endswith' exclude each other",
                  "keep one, or write '*' where anything may stand");
    }
    meaning_->anchor = anchor;
  }
  void SetComparison(Comparison comparison) {
    Kind(PredicateKind::kCompare);
    meaning_->comparison = comparison;
  }
  void Part(TimePart part) {
    Kind(PredicateKind::kTimePart);
    meaning_->part = part;
  }
  void Flag(char flag) {
    if (meaning_->kind != PredicateKind::kRegex) {
      return Fail("'i', 'm' and 's' stand after 're' only", "for example '|re|i'; other comparisons ignore case anyway");
    }
    meaning_->regex_flags.push_back(flag);
  }
  void Fail(std::string message, std::string hint = {}) {
    if (ok_) notes_->Error(item_.place, std::move(message), std::move(hint));
    ok_ = false;
  }
  bool ok() const { return ok_; }

 private:
  const ItemAst& item_;
  SourceNotes* notes_;
  ItemMeaning* meaning_;
  bool ok_ = true;
};

void Apply(Modifier modifier, ItemMeaning* meaning, KindSetter* set) {
  switch (modifier) {
    case Modifier::kAll:
      meaning->all = true;
      break;
    case Modifier::kNeq:
      meaning->neq = true;
      break;
    case Modifier::kCased:
      meaning->cased = true;
      break;
    case Modifier::kExpand:
      meaning->expand = true;
      break;
    case Modifier::kContains:
      set->SetAnchor(Anchor::kContains);
      break;
    case Modifier::kStartsWith:
      set->SetAnchor(Anchor::kStartsWith);
      break;
    case Modifier::kEndsWith:
      set->SetAnchor(Anchor::kEndsWith);
      break;
    case Modifier::kCidr:
      set->Kind(PredicateKind::kCidr);
      break;
    case Modifier::kExists:
      set->Kind(PredicateKind::kExists);
      break;
    case Modifier::kFieldRef:
      set->Kind(PredicateKind::kFieldRef);
      break;
    case Modifier::kRe:
      set->Kind(PredicateKind::kRegex);
      break;
    case Modifier::kIgnoreCase:
      set->Flag('i');
      break;
    case Modifier::kMultiLine:
      set->Flag('m');
      break;
    case Modifier::kSingleLine:
      set->Flag('s');
      break;
    case Modifier::kLt:
      set->SetComparison(Comparison::kLess);
      break;
    case Modifier::kLte:
      set->SetComparison(Comparison::kLessEqual);
      break;
    case Modifier::kGt:
      set->SetComparison(Comparison::kGreater);
      break;
    case Modifier::kGte:
      set->SetComparison(Comparison::kGreaterEqual);
      break;
    case Modifier::kMinute:
      set->Part(TimePart::kMinute);
      break;
    case Modifier::kHour:
      set->Part(TimePart::kHour);
      break;
    case Modifier::kDay:
      set->Part(TimePart::kDay);
      break;
    case Modifier::kWeek:
      set->Part(TimePart::kWeek);
      break;
    case Modifier::kMonth:
      set->Part(TimePart::kMonth);
      break;
    case Modifier::kYear:
      set->Part(TimePart::kYear);
      break;
    case Modifier::kBase64:
    case Modifier::kBase64Offset:
    case Modifier::kUtf16:
    case Modifier::kUtf16Be:
    case Modifier::kUtf16Le:
    case Modifier::kWindash:
      meaning->transforms.push_back(modifier);
      break;
  }
}

// Base64 text is another text when its case changes, so an encoded value is compared with its case.
bool IsBase64(Modifier modifier) { return modifier == Modifier::kBase64 || modifier == Modifier::kBase64Offset; }

// One transformation of every variant so far. false after an error.
bool Transform(Modifier modifier, const ItemValue& value, std::vector<SigmaText>* variants, SourceNotes* notes) {
  std::vector<SigmaText> changed;
  for (const SigmaText& text : *variants) {
    if (modifier == Modifier::kWindash) {
      std::vector<SigmaText> spelled = WindashVariants(text);
      if (spelled.empty()) {
        notes->Error(value.place, "'windash' on more than " + std::to_string(kMaxWindashPlaces) + " dashes",
                     "split the value, or write a regular expression");
        return false;
      }
      for (SigmaText& one : spelled) changed.push_back(std::move(one));
      continue;
    }
    if (HasWildcards(text)) {
      notes->Error(value.place, "a value with wildcards cannot be encoded", "escape them: '\\*', '\\?'");
      return false;
    }
    const std::string bytes = PlainBytes(text);
    if (modifier == Modifier::kBase64) {
      changed.push_back(PlainText(Base64(bytes)));
    } else if (modifier == Modifier::kBase64Offset) {
      for (const std::string& part : Base64Offsets(bytes)) changed.push_back(PlainText(part));
    } else {
      const Utf16 order = modifier == Modifier::kUtf16     ? Utf16::kWithMark
                          : modifier == Modifier::kUtf16Be ? Utf16::kBigEndian
                                                           : Utf16::kLittleEndian;
      const std::optional<std::string> wide = ToUtf16(bytes, order);
      if (!wide) {
        notes->Error(value.place, "the value is no UTF-8 text, so it has no UTF-16 form");
        return false;
      }
      changed.push_back(PlainText(*wide));
    }
  }
  *variants = std::move(changed);
  return true;
}

bool AddText(const ItemMeaning& meaning, const ItemValue& value, Predicate* predicate, SourceNotes* notes) {
  std::vector<SigmaText> variants = {ParseSigmaText(value.text)};
  bool cased = meaning.cased;
  for (Modifier transform : meaning.transforms) {
    cased = cased || IsBase64(transform);
    if (!Transform(transform, value, &variants, notes)) return false;
  }
  Anchor anchor = meaning.anchor;
  // A keyword without an anchor is looked for anywhere in the message.
  if (meaning.keywords && anchor == Anchor::kWhole) anchor = Anchor::kContains;
  for (const SigmaText& text : variants) predicate->patterns.push_back(MakePattern(text, anchor, cased));
  return true;
}

std::string RegexHint(re2::RE2::ErrorCode code) {
  switch (code) {
    case re2::RE2::ErrorBadPerlOp:
    case re2::RE2::ErrorBadEscape:
      return "expressions run on RE2, in linear time: no look-around and no back-references";
    case re2::RE2::ErrorRepeatSize:
      return "RE2 repeats at most 1000 times; leave the upper bound open, or write less";
    case re2::RE2::ErrorPatternTooLarge:
      return "fewer or shorter repetitions: RE2 keeps an expression within " + std::to_string(kMaxRegexBytes >> 20) + " MiB";
    default:
      return {};
  }
}

bool AddRegex(const ItemMeaning& meaning, const ItemValue& value, Predicate* predicate, SourceNotes* notes) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxRegexBytes);
  const std::string flags = meaning.regex_flags.empty() ? "" : "(?" + meaning.regex_flags + ")";
  auto regex = std::make_shared<re2::RE2>(flags + value.text, options);
  if (!regex->ok()) {
    notes->Error(value.place, "the regular expression is refused: " + regex->error(), RegexHint(regex->error_code()));
    return false;
  }
  predicate->regexes.push_back(std::move(regex));
  return true;
}

bool AddNumber(const ItemValue& value, Predicate* predicate, SourceNotes* notes) {
  const std::optional<Number> number = ParseNumber(value.text);
  if (!number) {
    notes->Error(value.place, "a number is expected, not '" + value.text + "'");
    return false;
  }
  if (predicate->kind == PredicateKind::kCompare) {
    predicate->numbers.push_back(*number);
    return true;
  }
  if (!number->is_integer) {
    notes->Error(value.place, "a whole number is expected, not '" + value.text + "'");
    return false;
  }
  predicate->parts.push_back(number->integer);
  return true;
}

bool AddNetwork(const ItemValue& value, Predicate* predicate, SourceNotes* notes) {
  const std::optional<Network> network = ParseNetwork(value.text);
  if (!network) {
    notes->Error(value.place, "'" + value.text + "' is no network",
                 "write an address and a prefix length: '192.168.0.0/16', 'fd00::/8'");
    return false;
  }
  predicate->networks.push_back(*network);
  return true;
}

}  // namespace

std::optional<ItemMeaning> ReadModifiers(const ItemAst& item, SourceNotes* notes) {
  ItemMeaning meaning;
  KindSetter set(item, notes, &meaning);
  for (Modifier modifier : item.modifiers) Apply(modifier, &meaning, &set);
  const bool text = meaning.kind == PredicateKind::kText;
  const bool reference = meaning.kind == PredicateKind::kFieldRef;
  // `re|contains` is redundant, not wrong: an expression is looked for anywhere.
  const bool regex = meaning.kind == PredicateKind::kRegex;
  if (meaning.anchor != Anchor::kWhole && !text && !reference && !(regex && meaning.anchor == Anchor::kContains)) {
    set.Fail("'contains', 'startswith' and 'endswith' compare text only");
  }
  if (meaning.cased && !text && !reference) {
    set.Fail("'cased' compares text only; a regular expression is case-sensitive unless 'i' follows");
  }
  if (!meaning.transforms.empty() && !text) set.Fail("'windash' and encodings change text values only");
  if (meaning.kind == PredicateKind::kExists && (item.values.size() != 1 || meaning.all)) {
    set.Fail("'exists' takes a single true or false");
  }
  if (item.field.empty() && !text && !regex) set.Fail("keywords are texts or regular expressions; name a field");
  if (!set.ok()) return std::nullopt;
  meaning.keywords = item.field.empty();
  return meaning;
}

std::vector<Predicate> ValuePredicates(const ItemMeaning& meaning, const ItemValue& value, const Predicate& base,
                                       SourceNotes* notes) {
  Predicate predicate = base;
  if (value.null) {
    if (meaning.kind != PredicateKind::kText || meaning.anchor != Anchor::kWhole || !meaning.transforms.empty() ||
        meaning.keywords) {
      notes->Error(value.place, "null stands for a field without a value; no modifier but 'neq' applies to it",
                   "for an empty text write ''");
      return {};
    }
    predicate.kind = PredicateKind::kNull;
    return {std::move(predicate)};
  }
  if (value.text.size() > kMaxValueBytes) {
    notes->Error(value.place, "the value is longer than " + std::to_string(kMaxValueBytes) + " bytes");
    return {};
  }
  bool ok = true;
  switch (meaning.kind) {
    case PredicateKind::kText:
      if (meaning.keywords && value.text.empty()) {
        notes->Error(value.place, "an empty keyword would match every alert");
        return {};
      }
      ok = AddText(meaning, value, &predicate, notes);
      break;
    case PredicateKind::kRegex:
      ok = AddRegex(meaning, value, &predicate, notes);
      break;
    case PredicateKind::kCidr:
      ok = AddNetwork(value, &predicate, notes);
      break;
    case PredicateKind::kCompare:
    case PredicateKind::kTimePart:
      ok = AddNumber(value, &predicate, notes);
      break;
    case PredicateKind::kExists:
    case PredicateKind::kFieldRef:  // their values are no patterns: Lowering reads them
    case PredicateKind::kNull:
      break;
  }
  if (!ok) return {};
  return {std::move(predicate)};
}

}  // namespace triaged::rules
