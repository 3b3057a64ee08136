// Backup: one partition's store as one file, and back.
//
// A backup is a prefix of the changelog as RocksDB has it on disk: every record with its key, and the changelog offset
// it reaches. A daemon may be running: the store is read as of its last flush, without its lock. After a restore the
// daemon replays the changelog from that offset, so a restore can lose nothing; a state topic of another lineage makes
// the daemon wipe what was restored, as with any store.
//
// File: a header line, then per record the lengths of key and value (4 bytes each, little-endian) and both, then the
// count and a chained hash of all records. Each value is a frame with a checksum of its own (codec.h).
// Errors: kBadInput: the file is no backup, damaged, or of a newer release; kEnvironment: everything else.
// Thread-safe, as long as each call has its own file and directory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "pipeline/base/result.h"
#include "storage/partition_store.h"

namespace triaged {

struct BackupFigures {
  int32_t partition = 0;
  int64_t position = -1;  // the changelog offset it reaches
  uint64_t records = 0;
  uint64_t bytes = 0;  // of keys and values
};

// Writes `file` (mode 0600, under another name until it is whole). The store's directory is only read.
Result<BackupFigures> BackUpStore(const std::shared_ptr<SharedStoreResources>& resources, const std::string& directory,
                                  const std::string& file);
// Reads it to the end: every record's checksum, the count and the hash.
Result<BackupFigures> VerifyBackup(const std::string& file);
// Verifies, then makes a store of it. `directory` must not exist or be empty.
Result<BackupFigures> RestoreStore(const std::shared_ptr<SharedStoreResources>& resources, const std::string& file,
                                   const std::string& directory);

}  // namespace triaged
