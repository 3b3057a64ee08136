#include "pipeline/report/words.h"

#include <functional>
#include <map>

namespace triaged {
namespace {

const std::map<std::string, std::string, std::less<>> kWords = {
    {"open", "受付"},
    {"in_progress", "対応中"},
    {"escalated", "エスカレーション済み"},
    {"waiting_for_info", "情報待ち"},
    {"on_hold", "保留"},
    {"resolved", "解決済み"},
    {"closed", "完了"},
    {"true_positive", "真の検知"},
    {"false_positive", "誤検知"},
    {"benign_true_positive", "無害な検知"},
    {"needs_review", "要確認"},
    {"acknowledge", "受領確認"},
    {"resolve", "解決"},
    {"contain", "封じ込め"},
    {"next_update", "次回連絡"},
    {"opened", "受付"},
    {"acknowledged", "受領確認"},
    {"verdict_changed", "判定変更"},
    {"severity_changed", "重大度変更"},
    {"assigned", "担当割り当て"},
    {"reopened", "再開"},
    {"renotified", "再通知"},
    {"status_updated", "状況連絡"},
    {"follow_up.added", "フォローアップ追加"},
    {"follow_up.done", "フォローアップ完了"},
    {"follow_up.overdue", "フォローアップ期限超過"},
    {"sla.at_risk", "期限接近"},
    {"sla.breached", "期限超過"},
    {"role.engaged", "役割の参加"},
    {"role.disengaged", "役割の離脱"},
    {"deescalated", "レベル引き下げ"},
    {"note", "メモ"},
    {"done", "完了"},
    {"pending", "未完了"},
    {"none", "なし"},
    {"nobody", "未定"},
    {"unknown", "不明"},
    {"not yet", "未定"},
    {"receipt", "受付連絡"},
    {"assign", "担当者の決定"},
    {"regulatory_early", "当局への早期報告"},
    {"regulatory_notification", "当局への通知"},
    {"regulatory_final", "当局への最終報告"},
    {"not_acknowledged", "受領確認なし"},
    {"unresolved_in_time", "時間内に未解決"},
    {"hard_limit", "上限時間の超過"},
    {"storm", "大量発生"},
    {"not acknowledged", "受領確認なし"},
    {"classified", "分類"},
    {"contained", "封じ込め完了"},
    {"escalation_held", "エスカレーション保留"},
    {"merged", "ケースの統合"},
    {"split", "ケースの分割"},
    {"undone", "取り消し"},
    {"pause_limit", "一時停止の上限"},
    {"resumed", "対応再開"},
    {"suppressed", "抑止"},
    {"suppression_broken", "抑止の解除"},
    {"suppression_over", "抑止の終了"},
    {"tagged", "タグ付け"},
    {"untagged", "タグの削除"},
    {"role.handoff", "役割の引き継ぎ依頼"},
    {"role.accepted", "役割の引き受け"},
    {"command.refused", "コマンドの拒否"},
    {"feed.silent", "フィードの途絶"},
};

}  // namespace

std::string Worded(const std::string& name, Language language) {
  if (language == Language::kEnglish) return name;
  const auto found = kWords.find(name);
  return found == kWords.end() ? name : found->second;
}

}  // namespace triaged
