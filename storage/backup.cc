#include "storage/backup.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <system_error>
#include <vector>

#include "pipeline/base/hash.h"
#include "storage/codec.h"
#include "storage/keys.h"
#include "storage/rocks.h"

namespace triaged {
namespace {

constexpr int kFileFormat = 1;
constexpr size_t kMaxKeyBytes = 1 << 20;
constexpr size_t kMaxValueBytes = 64 << 20;
constexpr size_t kRestoreSlice = 10'000;
// Between its manifest and its files a running daemon may have compacted them away: then it is read again.
constexpr int kReadAttempts = 5;
constexpr uint64_t kHashSeed = 0x7472696167656462;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

Error FileError(const std::string& doing) { return EnvironmentError(doing + ": " + std::strerror(errno)); }
Error Damaged(const std::string& file, const std::string& what) {
  return BadInput("backup " + file + " is damaged or none: " + what + "; take another");
}

uint64_t Chain(uint64_t hash, std::string_view key, std::string_view value) {
  return StableHash64(value, StableHash64(key, hash));
}

std::string Number(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}

uint64_t ReadNumber(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[i - 1]);
  return value;
}

// ---- writing ------------------------------------------------------------------------------------------------------

class Writer {
 public:
  Writer(File file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}

  bool Bytes(std::string_view bytes) { return std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size(); }
  bool Header(int64_t position, int32_t partition) {
    return Bytes("triaged-backup " + std::to_string(kFileFormat) + " partition " + std::to_string(partition) +
                 " position " + std::to_string(position) + "\n");
  }
  bool Record(std::string_view key, std::string_view value) {
    hash_ = Chain(hash_, key, value);
    ++figures.records;
    figures.bytes += key.size() + value.size();
    return Bytes(Number(key.size(), 4)) && Bytes(Number(value.size(), 4)) && Bytes(key) && Bytes(value);
  }
  // A key length of 2^32 - 1 ends the records.
  bool Finish() {
    return Bytes(Number(UINT32_MAX, 4)) && Bytes(Number(figures.records, 8)) && Bytes(Number(hash_, 8)) &&
           std::fflush(file_.get()) == 0 && fsync(fileno(file_.get())) == 0;
  }

  BackupFigures figures;

 private:
  File file_;
  std::string name_;
  uint64_t hash_ = kHashSeed;
};

Result<int64_t> StoredNumber(rocksdb::DB& db, std::string_view key, RecordKind kind, const std::string& directory) {
  std::string frame;
  const rocksdb::Status status = db.Get(rocksdb::ReadOptions(), ToSlice(key), &frame);
  if (status.IsNotFound())
    return EnvironmentError("store " + directory + " has nothing on disk yet: try again after a flush");
  if (!status.ok()) return RocksError("back up " + directory, status);
  return DecodeNumber(kind, frame);
}

Result<BackupFigures> Copy(rocksdb::DB& db, const std::string& directory, const std::string& target) {
  const auto partition = StoredNumber(db, kPartitionKey, RecordKind::kPartition, directory);
  if (!partition) return partition.error();
  std::string frame;
  int64_t position = -1;
  if (db.Get(rocksdb::ReadOptions(), ToSlice(kPositionKey), &frame).ok()) {
    const auto stored = DecodeNumber(RecordKind::kPosition, frame);
    if (!stored) return stored.error();
    position = *stored;
  }
  const int descriptor = open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return FileError("create " + target);
  Writer writer(File(fdopen(descriptor, "wb"), &std::fclose), target);
  writer.figures.partition = static_cast<int32_t>(*partition);
  writer.figures.position = position;
  if (!writer.Header(position, writer.figures.partition)) return FileError("write " + target);
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  std::unique_ptr<rocksdb::Iterator> it(db.NewIterator(options));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    if (it->key()[0] == kLocalPrefix) continue;
    if (const auto kind = CheckFrame(ToView(it->value())); !kind) {
      return CorruptionError("back up " + directory, kind.error().message);
    }
    if (!writer.Record(ToView(it->key()), ToView(it->value()))) return FileError("write " + target);
  }
  if (!it->status().ok()) return RocksError("back up " + directory, it->status());
  if (!writer.Finish()) return FileError("write " + target);
  return writer.figures;
}

// ---- reading ------------------------------------------------------------------------------------------------------

// Calls take(key, value) for each record; the figures once everything was right.
Result<BackupFigures> Read(const std::string& name,
                           const std::function<Status(std::string_view, std::string_view)>& take) {
  File file(std::fopen(name.c_str(), "rb"), &std::fclose);
  if (!file) return FileError("open backup " + name);
  char line[128] = {};
  int format = 0;
  BackupFigures figures;
  long long position = 0;
  const bool header =
      std::fgets(line, sizeof line, file.get()) &&
      std::sscanf(line, "triaged-backup %d partition %d position %lld", &format, &figures.partition, &position) == 3;
  if (!header) return Damaged(name, "it does not begin as a backup");
  if (format > kFileFormat) {
    return BadInput("backup " + name + " has format " + std::to_string(format) +
                    " of a newer release, this one reads up to " + std::to_string(kFileFormat) + "; upgrade triaged");
  }
  figures.position = position;
  std::string buffer;
  const auto read = [&](size_t size) {
    buffer.resize(size);
    return std::fread(buffer.data(), 1, size, file.get()) == size;
  };
  uint64_t hash = kHashSeed;
  while (true) {
    if (!read(4)) return Damaged(name, "it ends in the middle");
    const uint64_t key_size = ReadNumber(buffer);
    if (key_size == UINT32_MAX) break;
    if (!read(4)) return Damaged(name, "it ends in the middle");
    const uint64_t value_size = ReadNumber(buffer);
    if (key_size == 0 || key_size > kMaxKeyBytes || value_size > kMaxValueBytes)
      return Damaged(name, "a length is wrong");
    if (!read(key_size + value_size)) return Damaged(name, "it ends in the middle");
    const std::string_view key = std::string_view(buffer).substr(0, key_size);
    const std::string_view value = std::string_view(buffer).substr(key_size);
    if (const auto kind = CheckFrame(value); !kind) return Damaged(name, kind.error().message);
    hash = Chain(hash, key, value);
    ++figures.records;
    figures.bytes += buffer.size();
    if (Status taken = take(key, value); !taken) return taken.error();
  }
  if (!read(16)) return Damaged(name, "it ends in the middle");
  if (ReadNumber(std::string_view(buffer).substr(0, 8)) != figures.records) return Damaged(name, "records are missing");
  if (ReadNumber(std::string_view(buffer).substr(8)) != hash) return Damaged(name, "its checksum is wrong");
  if (std::fgetc(file.get()) != EOF) return Damaged(name, "something follows its end");
  return figures;
}

}  // namespace

Result<BackupFigures> BackUpStore(const std::shared_ptr<SharedStoreResources>& resources, const std::string& directory,
                                  const std::string& file) {
  auto rocks = std::dynamic_pointer_cast<RocksResources>(resources);
  TRIAGED_CHECK(rocks != nullptr);
  rocksdb::Options options = rocks->DbOptions();
  options.create_if_missing = false;
  options.max_open_files = -1;  // all are opened at once: what the daemon deletes meanwhile stays readable
  const std::string partial = file + ".partial";
  Result<BackupFigures> copied = EnvironmentError("");
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    rocksdb::DB* opened = nullptr;
    const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, directory, &opened);
    if (!status.ok()) {
      copied = RocksError("open store " + directory, status);
      continue;
    }
    const std::unique_ptr<rocksdb::DB> db(opened);
    copied = Copy(*db, directory, partial);
    break;
  }
  std::error_code error;
  if (copied) {
    std::filesystem::rename(partial, file, error);
    if (error) return EnvironmentError("rename " + partial + " to " + file + ": " + error.message());
  } else {
    std::filesystem::remove(partial, error);
  }
  return copied;
}

Result<BackupFigures> VerifyBackup(const std::string& file) {
  return Read(file, [](std::string_view, std::string_view) { return Status(); });
}

Result<BackupFigures> RestoreStore(const std::shared_ptr<SharedStoreResources>& resources, const std::string& file,
                                   const std::string& directory) {
  std::error_code error;
  if (std::filesystem::exists(directory, error) && !std::filesystem::is_empty(directory, error)) {
    return BadInput("restore to " + directory + ": something is there already; move it away first");
  }
  const auto verified = VerifyBackup(file);
  if (!verified) return verified.error();
  // A store that is there in part could bring back what was deleted since: it gets its name when it is whole.
  const std::string partial = directory + ".restoring";
  std::filesystem::remove_all(partial, error);
  auto store = PartitionStore::Open(resources, verified->partition, partial);
  if (!store) return store.error();
  std::vector<StateRecord> slice;
  const auto apply = [&] {
    Status applied = (*store)->ApplyChangelog(slice, verified->position);
    slice.clear();
    return applied;
  };
  auto read = Read(file, [&](std::string_view key, std::string_view value) {
    slice.push_back({std::string(key), std::string(value)});
    return slice.size() < kRestoreSlice ? Status() : apply();
  });
  if (!read) return read.error();
  if (Status applied = apply(); !applied) return applied.error();
  if (Status flushed = (*store)->Flush(); !flushed) return flushed.error();
  store->reset();
  std::filesystem::rename(partial, directory, error);
  if (error) return EnvironmentError("rename " + partial + " to " + directory + ": " + error.message());
  return read;
}

}  // namespace triaged
