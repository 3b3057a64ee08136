// The readers of each kind of file, and what they share while the tables grow. Not for others.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/enrich/sheet.h"
#include "pipeline/enrich/tables.h"

namespace triaged::enrich {

class Builder {
 public:
  explicit Builder(Tables* tables) : tables_(*tables) {}

  void ReadAssets(FileProblems* problems);
  void ReadIdentities(FileProblems* problems);
  void ReadNetworks(FileProblems* problems);
  void ReadAttack(FileProblems* problems);
  void ReadIndicators(FileProblems* problems, IndicatorTable* table);
  // When everything is read: what is told from the whole.
  void Finish(Diagnostics* diagnostics);

 private:
  uint32_t Text(std::string_view text) { return text.empty() ? kNone : tables_.texts.Add(text); }
  ListRange List(const std::vector<std::string_view>& parts);
  void AddAssetKey(const Sheet& sheet, std::string_view key, uint32_t record, KeyTable* table);
  void AddAssetNames(const Sheet& sheet, uint32_t record);
  void AddAssetPlaces(const Sheet& sheet, uint32_t record);
  bool AddIdentityKeys(const Sheet& sheet, uint32_t record);
  void FinishNetworks(NetworkTable* table, const std::vector<uint32_t>& from, Diagnostics* diagnostics);
  void ReadIndicatorLines(FileProblems* problems, IndicatorTable* table, uint32_t list);
  void ReadIndicatorSheet(FileProblems* problems, IndicatorTable* table, uint32_t list);
  void AddIndicator(FileProblems* problems, int line, std::string_view value, Indicator entry, IndicatorTable* table);
  void Chain(KeyTable* keys, std::string_view key, const Indicator& entry, IndicatorTable* table);
  static void FinishIndicators(IndicatorTable* table);

  Tables& tables_;
};

}  // namespace triaged::enrich
