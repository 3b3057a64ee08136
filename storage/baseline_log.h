// BaselineLog: where the entries of a baseline stand in the store. A step appends what it changed as numbered blocks
// (one, unless it changed very many), so that nothing is written per alert; an entry's latest block counts.
//
// A block that holds nothing that counts is deleted with the next step. When the blocks hold more than twice what
// counts, the oldest are written anew, a few with each step. The latest block carries the table's marks. What is written
// depends on the committed steps alone, never on whether the store was restored in between. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "pipeline/baseline/table.h"

namespace triaged {

class BaselineLog {
 public:
  using Slot = BaselineTable::Slot;

  // What the step in hand writes: new blocks with the slots whose entries they hold, and blocks to delete.
  struct Plan {
    struct Block {
      uint64_t number = 0;
      std::vector<Slot> slots;
    };
    std::vector<Block> blocks;
    std::vector<uint64_t> dead;
  };
  Plan PlanStep(const BaselineTable& table) const;
  // The plan of this step was written. Before the table ends its step.
  void Commit(const Plan& plan, const BaselineTable& table);

  // Restore: Clear, RestoreBlock by ascending numbers with the slots its entries were put in, then FinishRestore, after
  // the table's own.
  void Clear() { *this = BaselineLog(); }
  void RestoreBlock(uint64_t number, std::vector<Slot> slots);
  void FinishRestore(const BaselineTable& table);

  size_t written() const { return written_; }  // entries in all blocks, whether they count or not

 private:
  struct Block {
    std::vector<Slot> slots;
    size_t live = 0;  // of these, entries that have not been written since
  };
  void Rewrite(const BaselineTable& table, size_t total, std::map<uint64_t, size_t>* lost, std::vector<Slot>* slots) const;
  uint64_t BlockOf(Slot slot) const { return slot < block_of_.size() ? block_of_[slot] : 0; }
  void Withdraw(Slot slot);

  std::map<uint64_t, Block> blocks_;
  std::vector<uint64_t> block_of_;  // of each slot; 0: none
  std::vector<uint64_t> empty_;     // blocks that never held an entry: a step only took some away
  size_t written_ = 0;
  uint64_t next_ = 1;
};

}  // namespace triaged
