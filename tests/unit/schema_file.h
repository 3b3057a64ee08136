// A shipped JSON Schema, for tests that validate documents against it.
#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

namespace triaged::test {

using PlainJson = nlohmann::json;

class SchemaFile {
 public:
  explicit SchemaFile(const std::string& name) : schema_(std::make_unique<valijson::Schema>()) {
    std::ifstream file(std::string(TRIAGED_SOURCE_DIR) + "/configs/schemas/" + name + ".json", std::ios::binary);
    REQUIRE_MESSAGE(file, name);
    text_.assign(std::istreambuf_iterator<char>(file), {});
    json_ = PlainJson::parse(text_);
    valijson::SchemaParser(valijson::SchemaParser::kDraft7)
        .populateSchema(valijson::adapters::NlohmannJsonAdapter(json_), *schema_);
  }

  // Empty when valid, else what is wrong.
  std::string Problems(const PlainJson& document) const {
    valijson::Validator validator(valijson::Validator::kStrongTypes);
    valijson::ValidationResults results;
    if (validator.validate(*schema_, valijson::adapters::NlohmannJsonAdapter(document), &results)) return "";
    std::ostringstream out;
    valijson::ValidationResults::Error error;
    while (results.popError(error)) {
      for (const std::string& step : error.context) out << step;
      out << ": " << error.description << "\n";
    }
    return "invalid:\n" + out.str();
  }
  std::string Problems(const std::string& text) const { return Problems(PlainJson::parse(text)); }
  bool Accepts(const PlainJson& document) const { return Problems(document).empty(); }
  const PlainJson& json() const { return json_; }

 private:
  std::string text_;
  PlainJson json_;
  std::unique_ptr<valijson::Schema> schema_;
};

}  // namespace triaged::test
