#include "storage/baseline_log.h"

#include <algorithm>

#include "storage/codec.h"

namespace triaged {
namespace {

constexpr size_t kSlack = 4096;    // entries that need not count before anything is written anew
constexpr size_t kRewrites = 1024; // entries written anew with a step, beside as many as it changed

}  // namespace

// Adds to `slots` what counts in the oldest blocks, until the rest is dense enough. `lost`: of each block, what this step
// takes from it. `total`: entries that would stand in blocks without that.
void BaselineLog::Rewrite(const BaselineTable& table, size_t total, std::map<uint64_t, size_t>* lost,
                          std::vector<Slot>* slots) const {
  std::vector<bool> changed(table.slots());
  for (const Slot slot : table.changed()) changed[slot] = true;
  const size_t most = 2 * slots->size() + kRewrites;
  for (const auto& [number, block] : blocks_) {
    if (total <= 2 * table.size() + kSlack || slots->size() >= most) return;
    const auto of = lost->find(number);
    if (block.live == (of == lost->end() ? 0 : of->second)) continue;  // deleted anyway
    for (const Slot slot : block.slots) {
      if (BlockOf(slot) != number || changed[slot]) continue;
      slots->push_back(slot);
      ++(*lost)[number];
      ++total;
    }
    total -= block.slots.size();
  }
}

BaselineLog::Plan BaselineLog::PlanStep(const BaselineTable& table) const {
  Plan plan;
  if (table.changed().empty()) return plan;
  std::vector<Slot> slots;
  std::map<uint64_t, size_t> lost;
  for (const Slot slot : table.changed()) {
    if (table.live(slot)) slots.push_back(slot);
    if (const uint64_t number = BlockOf(slot)) ++lost[number];
  }
  // Slots are numbered differently after a restore; when an entry was touched is the same.
  std::sort(slots.begin(), slots.end(),
            [&](Slot a, Slot b) { return table.entry(a).touched < table.entry(b).touched; });
  size_t total = written_ + slots.size();
  for (const auto& [number, count] : lost) {
    const Block& block = blocks_.at(number);
    if (block.live == count) total -= block.slots.size();
  }
  if (total > 2 * table.size() + kSlack) Rewrite(table, total, &lost, &slots);
  plan.dead = empty_;
  for (const auto& [number, count] : lost) {
    if (blocks_.at(number).live == count) plan.dead.push_back(number);
  }
  std::sort(plan.dead.begin(), plan.dead.end());
  uint64_t number = next_;
  for (size_t at = 0; at == 0 || at < slots.size(); at += kMaxBaselineBlockEntries) {
    const size_t end = std::min(slots.size(), at + kMaxBaselineBlockEntries);
    plan.blocks.push_back({number++, std::vector<Slot>(slots.begin() + static_cast<ptrdiff_t>(at),
                                                       slots.begin() + static_cast<ptrdiff_t>(end))});
  }
  return plan;
}

void BaselineLog::Withdraw(Slot slot) {
  const uint64_t number = BlockOf(slot);
  if (number == 0) return;
  --blocks_.at(number).live;
  block_of_[slot] = 0;
}

void BaselineLog::Commit(const Plan& plan, const BaselineTable& table) {
  block_of_.resize(std::max(block_of_.size(), table.slots()), 0);
  for (const Slot slot : table.changed()) Withdraw(slot);
  for (const Plan::Block& block : plan.blocks) {
    for (const Slot slot : block.slots) Withdraw(slot);
  }
  for (const uint64_t number : plan.dead) {
    const auto at = blocks_.find(number);
    written_ -= at->second.slots.size();
    blocks_.erase(at);
  }
  empty_.clear();
  for (const Plan::Block& block : plan.blocks) {
    for (const Slot slot : block.slots) block_of_[slot] = block.number;
    blocks_.emplace(block.number, Block{block.slots, block.slots.size()});
    written_ += block.slots.size();
    if (block.slots.empty()) empty_.push_back(block.number);
    next_ = block.number + 1;
  }
}

void BaselineLog::RestoreBlock(uint64_t number, std::vector<Slot> slots) {
  for (const Slot slot : slots) {
    if (slot >= block_of_.size()) block_of_.resize(slot + size_t{1}, 0);
    block_of_[slot] = number;
  }
  written_ += slots.size();
  blocks_.emplace(number, Block{std::move(slots), 0});
  next_ = number + 1;
}

void BaselineLog::FinishRestore(const BaselineTable& table) {
  for (Slot slot = 0; slot < block_of_.size(); ++slot) {
    if (!table.live(slot)) block_of_[slot] = 0;
    if (block_of_[slot] != 0) ++blocks_.at(block_of_[slot]).live;
  }
  for (const auto& [number, block] : blocks_) {
    if (block.live == 0) empty_.push_back(number);
  }
}

}  // namespace triaged
