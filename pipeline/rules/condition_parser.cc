#include "pipeline/rules/condition_parser.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "pipeline/rules/pattern.h"

namespace triaged::rules {
namespace {

struct Token {
  std::string_view text;  // empty at the end
  size_t at = 0;          // byte offset in the condition
};

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::vector<Token> Tokens(std::string_view text) {
  std::vector<Token> tokens;
  for (size_t at = 0; at < text.size();) {
    if (IsSpace(text[at])) {
      ++at;
      continue;
    }
    size_t end = at + 1;
    const bool single = text[at] == '(' || text[at] == ')' || text[at] == '|';
    while (!single && end < text.size() && !IsSpace(text[end]) && text[end] != '(' && text[end] != ')' &&
           text[end] != '|') {
      ++end;
    }
    tokens.push_back({text.substr(at, end - at), at});
    at = end;
  }
  tokens.push_back({{}, text.size()});
  return tokens;
}

class ConditionParser {
 public:
  ConditionParser(const YamlNode& text, const std::vector<std::string_view>& selections, std::vector<bool>* used,
                  SourceNotes* notes)
      : node_(text), selections_(selections), used_(*used), notes_(notes), tokens_(Tokens(text.scalar())) {}

  std::optional<ConditionAst> Parse() {
    if (tokens_.size() == 1) {
      notes_->Error(PlaceOf(node_), "the condition is empty", "add for example 'condition: selection'");
      return std::nullopt;
    }
    if (RefuseDeprecated()) return std::nullopt;
    std::optional<ConditionAst> tree = Or(0);
    if (tree && !Next().text.empty()) {
      const bool closes = Next().text == ")";
      ErrorAt(Next(), "unexpected '" + std::string(Next().text) + "' in the condition",
              closes ? "no '(' is open here" : OperatorHint(Next().text));
      return std::nullopt;
    }
    if (failed_) return std::nullopt;
    return tree;
  }

 private:
  const Token& Next() const { return tokens_[at_]; }
  bool NextIs(std::string_view keyword) const { return Fold(Next().text) == keyword; }
  bool Take(std::string_view keyword) {
    if (!NextIs(keyword)) return false;
    ++at_;
    return true;
  }

  // The place of a token, when the condition stands on one line of the file as it is; else that of the condition.
  Place PlaceOfToken(const Token& token) const {
    Place place = PlaceOf(node_);
    const std::string line = SourceLine(notes_->file(), place.line);
    if (place.column < 1) return place;
    const size_t begin = static_cast<size_t>(place.column - 1) + (node_.quoted() ? 1 : 0);
    if (begin <= line.size() && line.compare(begin, node_.scalar().size(), node_.scalar()) == 0) {
      place.column = static_cast<int>(begin + token.at) + 1;
    }
    return place;
  }

  void ErrorAt(const Token& token, std::string message, std::string hint = {}) {
    failed_ = true;
    notes_->Error(PlaceOfToken(token), std::move(message), std::move(hint));
  }

  // Of what stands where an operator is expected.
  static std::string OperatorHint(std::string_view word) {
    if (word.starts_with('&')) return "write 'and'";
    return "'and' or 'or' is expected between two selections";
  }

  // Of a name that no selection has.
  std::string NameHint(std::string_view name) const {
    if (name.starts_with('!')) return "write 'not " + std::string(name.substr(1)) + "'";
    const std::string near = Suggest(name, selections_);
    if (!near.empty() || selections_.empty()) return near;
    constexpr size_t kMostNamed = 8;
    std::string hint = "selections are ";
    for (size_t i = 0; i < selections_.size(); ++i) {
      if (i == kMostNamed) return hint + " …";
      hint += (i > 0 ? ", " : "") + std::string(selections_[i]);
    }
    return hint;
  }

  // The correlation that says the same as `| count(user.name) by host.name > 5`, whose function is at `at`.
  std::string CorrelationHint(size_t at) const {
    const auto word = [this](size_t i) { return i < tokens_.size() ? tokens_[i].text : std::string_view(); };
    const std::string function = Fold(word(at));
    std::string field;
    if (word(++at) == "(") {
      while (++at < tokens_.size() && word(at) != ")") field += word(at);
      ++at;
    }
    std::string group;
    if (Fold(word(at)) == "by") {
      group = " 'group-by: [" + std::string(word(at + 1)) + "]'";
      at += 2;
    }
    std::string bound;
    static constexpr std::pair<std::string_view, std::string_view> kBounds[] = {
        {">", "gt"}, {">=", "gte"}, {"<", "lt"}, {"<=", "lte"}, {"=", "eq"}, {"==", "eq"}};
    for (const auto& [sign, name] : kBounds) {
      if (word(at) == sign) bound = std::string(name) + ": " + std::string(word(at + 1));
    }
    const std::string type = function == "count" ? (field.empty() ? "event_count" : "value_count") : "value_" + function;
    if (!bound.empty()) bound = " 'condition: {" + bound + (field.empty() ? "" : ", field: " + field) + "}'";
    const std::string_view with = group.empty() && bound.empty() ? "" : " with";
    const std::string_view and_then = group.empty() || bound.empty() ? "" : " and";
    return "write a correlation rule of type '" + type + "'" + std::string(with) + group + std::string(and_then) + bound;
  }

  // Aggregations and `near` of Sigma 1: each with what replaces it.
  bool RefuseDeprecated() {
    for (size_t i = 0; i + 1 < tokens_.size(); ++i) {
      const std::string word = Fold(tokens_[i].text);
      if (word == "near" && std::find(selections_.begin(), selections_.end(), tokens_[i].text) == selections_.end()) {
        ErrorAt(tokens_[i], "'near' was removed from Sigma",
                "write a correlation rule of type 'temporal' (or 'temporal_ordered') over two rules");
        return true;
      }
      if (word != "|") continue;
      const std::string function = Fold(tokens_[i + 1].text);
      if (function == "near") continue;
      if (function == "|") {
        ErrorAt(tokens_[i], "unexpected '||' in the condition", "write 'or'");
        return true;
      }
      const bool extreme = function == "min" || function == "max";
      const bool known = function == "count" || function == "sum" || function == "avg";
      ErrorAt(tokens_[i],
              "aggregations ('| " + std::string(tokens_[i + 1].text) + "') were removed from conditions in Sigma 2",
              extreme ? "Sigma 2 has no minimum or maximum: use 'lt' or 'gt' on the field"
              : known ? CorrelationHint(i + 1)
                      : "write a correlation rule");
      return true;
    }
    return false;
  }

  std::optional<ConditionAst> Or(int depth) {
    return Chain("or", ConditionAst::Kind::kOr, [this, depth] { return And(depth); });
  }
  std::optional<ConditionAst> And(int depth) {
    return Chain("and", ConditionAst::Kind::kAnd, [this, depth] { return Not(depth); });
  }

  template <typename PartFn>
  std::optional<ConditionAst> Chain(std::string_view keyword, ConditionAst::Kind kind, PartFn part) {
    std::optional<ConditionAst> first = part();
    if (!first || !NextIs(keyword)) return first;
    ConditionAst chain;
    chain.kind = kind;
    chain.children.push_back(std::move(*first));
    while (Take(keyword)) {
      std::optional<ConditionAst> next = part();
      if (!next) return std::nullopt;
      chain.children.push_back(std::move(*next));
    }
    return chain;
  }

  std::optional<ConditionAst> Not(int depth) {
    if (depth > kMaxConditionDepth) {
      ErrorAt(Next(), "the condition is nested too deep (limit " + std::to_string(kMaxConditionDepth) + ")");
      return std::nullopt;
    }
    if (Take("not")) {
      std::optional<ConditionAst> inner = Not(depth + 1);
      if (!inner) return std::nullopt;
      ConditionAst negated;
      negated.kind = ConditionAst::Kind::kNot;
      negated.children.push_back(std::move(*inner));
      return negated;
    }
    if (NextIs("(")) return Parenthesised(depth);
    return Leaf();
  }

  std::optional<ConditionAst> Parenthesised(int depth) {
    const Token open = Next();
    ++at_;
    std::optional<ConditionAst> inner = Or(depth + 1);
    if (!inner) return std::nullopt;
    if (!Take(")")) {
      if (Next().text.empty()) {
        ErrorAt(open, "this '(' is never closed");
      } else {
        ErrorAt(Next(), "')' expected before '" + std::string(Next().text) + "'", OperatorHint(Next().text));
      }
      return std::nullopt;
    }
    return inner;
  }

  std::optional<ConditionAst> Leaf() {
    const Token token = Next();
    const std::string word = Fold(token.text);
    if (token.text.empty()) {
      ErrorAt(token, "the condition ends where a selection is expected");
      return std::nullopt;
    }
    if (word == "and" || word == "or" || word == ")" || word == "of") {
      ErrorAt(token, "a selection is expected before '" + std::string(token.text) + "'");
      return std::nullopt;
    }
    ++at_;
    if (NextIs("of")) return Of(token);
    const auto found = std::find(selections_.begin(), selections_.end(), token.text);
    ConditionAst leaf;
    if (found == selections_.end()) {
      if (token.text.find('*') != std::string_view::npos) {
        ErrorAt(token, "'" + std::string(token.text) + "' names several selections",
                "write '1 of " + std::string(token.text) + "' or 'all of " + std::string(token.text) + "'");
      } else {
        ErrorAt(token, "no selection is named '" + std::string(token.text) + "'", NameHint(token.text));
      }
      return leaf;  // go on: the next problem is worth reporting too
    }
    const size_t index = static_cast<size_t>(found - selections_.begin());
    used_[index] = true;
    leaf.selections.push_back(index);
    return leaf;
  }

  std::optional<ConditionAst> Of(const Token& count) {
    ++at_;  // "of"
    const Token target = Next();
    if (target.text.empty() || target.text == "(" || target.text == ")") {
      ErrorAt(target, "'of' needs a name, a pattern such as 'selection_*', or 'them'");
      return std::nullopt;
    }
    ++at_;
    ConditionAst of;
    const bool them = Fold(target.text) == "them";
    const Pattern glob = MakePattern(ParseSigmaText(target.text), Anchor::kWhole, true);
    for (size_t i = 0; i < selections_.size(); ++i) {
      if (them ? selections_[i].starts_with('_') : !Matches(glob, selections_[i])) continue;
      used_[i] = true;
      of.selections.push_back(i);
    }
    if (of.selections.empty()) {
      const std::string_view stem = target.text.substr(0, target.text.find('*'));
      ErrorAt(target, "no selection matches '" + std::string(target.text) + "'", NameHint(stem));
      return of;
    }
    return WithCount(count, std::move(of));
  }

  std::optional<ConditionAst> WithCount(const Token& count, ConditionAst of) {
    const std::string word = Fold(count.text);
    if (word == "any") return of;
    if (word == "all") {
      of.count = static_cast<uint32_t>(of.selections.size());
      return of;
    }
    const char* end = count.text.data() + count.text.size();
    auto [at, error] = std::from_chars(count.text.data(), end, of.count);
    if (error != std::errc() || at != end || of.count == 0) {
      ErrorAt(count, "'" + std::string(count.text) + " of' is no count", "write '1 of', 'all of', or another number");
      return of;
    }
    if (of.count > of.selections.size()) {
      ErrorAt(count, "'" + word + " of' can never hold",
              "matching selections: " + std::to_string(of.selections.size()));
    }
    return of;
  }

  const YamlNode& node_;
  const std::vector<std::string_view>& selections_;
  std::vector<bool>& used_;
  SourceNotes* notes_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace

std::optional<ConditionAst> ParseCondition(const YamlNode& text, const std::vector<std::string_view>& selections,
                                           std::vector<bool>* used, SourceNotes* notes) {
  return ConditionParser(text, selections, used, notes).Parse();
}

}  // namespace triaged::rules
