// SimDisk: the disk of one simulated machine. RocksDB's file system in memory, with what disks do to a store: reads,
// writes or syncs that fail for a while, no room, syncs that lie, a death after which only what was written is there,
// a power cut after which only what was synced is there.
//
// Faults are states of the whole disk and not dice at each call, and the background work that RocksDB could do at any
// time waits for Quiesce(): so the seed alone decides what happens.
// Thread-safety: as RocksDB wants it; the calls that change the disk's state come from the simulation's thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "storage/rocks.h"
#include "tests/sim/sim_random.h"

namespace triaged::sim {

enum class DiskFault : uint8_t {
  kNone,
  kReads,     // each read: I/O error
  kWrites,    // each write of bytes, each new file and each rename: I/O error
  kSyncs,     // each sync: I/O error
  kSyncsLie,  // they say that they did, and did not
  kFull,      // writes find no room
};
inline constexpr uint64_t kDiskFaults = 5;  // without kNone

class SimFiles;
class SimEnv;

// Shared by the workers of one process.
class SimDisk : public RocksResources {
 public:
  static std::shared_ptr<SimDisk> Make(const StoreOptions& options);
  ~SimDisk() override;

  // Nothing waits for a compaction: those run in Quiesce() only.
  rocksdb::Options DbOptions() const override;
  // The write of a batch fails while writes do: RocksDB refuses it as soon as its own work met the fault.
  rocksdb::Status Write(rocksdb::DB* db, rocksdb::WriteBatch* batch) const override;
  // Planted: such a write passes for done.
  void set_write_errors_ignored(bool ignored) { write_errors_ignored_ = ignored; }

  // Does the work that RocksDB has put off, and waits for what it is doing.
  void Quiesce();
  // `room`: the bytes that still fit when the fault is kFull. Quiesce first.
  void SetFault(DiskFault fault, uint64_t room);
  DiskFault fault() const;
  uint64_t faults() const;  // how often it fell sick

  // The process is being killed: from now on nothing reaches the disk.
  void Kill();
  // It is gone. After a power cut only what was synced is there, and of the rest a beginning, as `random` has it.
  void Revive(bool power_cut, uint64_t random);
  void Wipe();
  // Turns the files whose names hold `kind` into noise.
  void Garble(std::string_view kind, uint64_t random);

  // For written lives, while no store is open. One byte of the files in a folder, which count as one after the other:
  uint64_t SizeOf(const std::string& folder, std::string_view kind) const;
  void Flip(const std::string& folder, std::string_view kind, uint64_t at);
  std::map<std::string, std::string> Copy() const;
  void Put(const std::map<std::string, std::string>& files);

 private:
  SimDisk(const StoreOptions& options, std::shared_ptr<SimFiles> files, std::unique_ptr<SimEnv> env);

  const std::shared_ptr<SimFiles> files_;
  const std::unique_ptr<SimEnv> sim_env_;
  bool write_errors_ignored_ = false;
};

}  // namespace triaged::sim
