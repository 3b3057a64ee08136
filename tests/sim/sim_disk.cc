#include "tests/sim/sim_disk.h"

#include <rocksdb/file_system.h>

#include <algorithm>
#include <condition_variable>
#include <cstdarg>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <vector>

namespace triaged::sim {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

struct File {
  std::string bytes;
  size_t synced = 0;
};

// RocksDB's own log is nobody's business here.
class NoLog : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
  size_t GetLogFileSize() const override { return 0; }
};

struct Lock : rocksdb::FileLock {
  explicit Lock(std::string the_name) : name(std::move(the_name)) {}
  const std::string name;
};

// RocksDB ends some folders with a slash.
std::string WithoutSlash(const std::string& folder) {
  return folder.ends_with('/') ? folder.substr(0, folder.size() - 1) : folder;
}

std::string FolderOf(const std::string& name) { return name.substr(0, name.rfind('/')); }

}  // namespace

// ---- the files ----------------------------------------------------------------------------------------------------

class SimFiles : public rocksdb::FileSystem, public std::enable_shared_from_this<SimFiles> {
 public:
  using Names = std::map<std::string, std::shared_ptr<File>>;

  const char* Name() const override { return "SimFiles"; }

  IOStatus NewSequentialFile(const std::string& name, const FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* file, IODebugContext*) override;
  IOStatus NewRandomAccessFile(const std::string& name, const FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file, IODebugContext*) override;
  IOStatus NewWritableFile(const std::string& name, const FileOptions&, std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext*) override;
  IOStatus NewDirectory(const std::string& name, const IOOptions&, std::unique_ptr<rocksdb::FSDirectory>* directory,
                        IODebugContext*) override;
  IOStatus FileExists(const std::string& name, const IOOptions&, IODebugContext*) override;
  IOStatus GetChildren(const std::string& folder, const IOOptions&, std::vector<std::string>* names,
                       IODebugContext*) override;
  IOStatus DeleteFile(const std::string& name, const IOOptions&, IODebugContext*) override;
  IOStatus CreateDir(const std::string& name, const IOOptions&, IODebugContext*) override;
  IOStatus CreateDirIfMissing(const std::string& name, const IOOptions&, IODebugContext*) override;
  IOStatus DeleteDir(const std::string& name, const IOOptions&, IODebugContext*) override;
  IOStatus GetFileSize(const std::string& name, const IOOptions&, uint64_t* size, IODebugContext*) override;
  IOStatus GetFileModificationTime(const std::string&, const IOOptions&, uint64_t* time, IODebugContext*) override {
    *time = 0;
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&, IODebugContext*) override;
  IOStatus LockFile(const std::string& name, const IOOptions&, rocksdb::FileLock** lock, IODebugContext*) override;
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override;
  IOStatus GetTestDirectory(const IOOptions&, std::string*, IODebugContext*) override {
    return IOStatus::NotSupported();
  }
  IOStatus NewLogger(const std::string&, const IOOptions&, std::shared_ptr<rocksdb::Logger>* log,
                     IODebugContext*) override {
    *log = std::make_shared<NoLog>();
    return IOStatus::OK();
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* absolute, IODebugContext*) override {
    *absolute = path;
    return IOStatus::OK();
  }
  IOStatus GetFreeSpace(const std::string&, const IOOptions&, uint64_t* free, IODebugContext*) override;
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* is, IODebugContext*) override;

  // For the open files.
  IOStatus Read(const File& file, uint64_t offset, size_t n, Slice* result, char* scratch);
  IOStatus Append(File* file, const Slice& data);
  IOStatus Truncate(File* file, uint64_t size);
  IOStatus Sync(File* file);
  IOStatus SyncFolder(const std::string& folder);
  size_t Size(const File& file);

  std::mutex mutex;
  Names names;
  Names durable;  // what a power cut leaves: names are synced with their folder
  std::set<std::string> folders;
  std::set<std::string> locks;
  DiskFault fault = DiskFault::kNone;
  uint64_t faults = 0;  // so far
  uint64_t capacity = 0;  // while full
  bool dead = false;

  uint64_t Used() const {
    uint64_t used = 0;
    for (const auto& [name, file] : names) used += file->bytes.size();
    return used;
  }

 private:
  IOStatus Failed(const char* what) const { return IOStatus::IOError(std::string(what) + ": simulated I/O error"); }
  bool CannotWrite() const { return dead || fault == DiskFault::kWrites; }
  uint64_t Free() const {
    const uint64_t used = Used();
    return used < capacity ? capacity - used : 0;
  }
};

namespace {

class Sequential : public rocksdb::FSSequentialFile {
 public:
  Sequential(std::shared_ptr<SimFiles> files, std::shared_ptr<File> file)
      : files_(std::move(files)), file_(std::move(file)) {}
  IOStatus Read(size_t n, const IOOptions&, Slice* result, char* scratch, IODebugContext*) override {
    IOStatus status = files_->Read(*file_, at_, n, result, scratch);
    if (status.ok()) at_ += result->size();
    return status;
  }
  IOStatus Skip(uint64_t n) override {
    at_ += n;
    return IOStatus::OK();
  }

 private:
  const std::shared_ptr<SimFiles> files_;
  const std::shared_ptr<File> file_;
  uint64_t at_ = 0;
};

class RandomAccess : public rocksdb::FSRandomAccessFile {
 public:
  RandomAccess(std::shared_ptr<SimFiles> files, std::shared_ptr<File> file)
      : files_(std::move(files)), file_(std::move(file)) {}
  IOStatus Read(uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    return files_->Read(*file_, offset, n, result, scratch);
  }

 private:
  const std::shared_ptr<SimFiles> files_;
  const std::shared_ptr<File> file_;
};

class Writable : public rocksdb::FSWritableFile {
 public:
  Writable(std::shared_ptr<SimFiles> files, std::shared_ptr<File> file)
      : files_(std::move(files)), file_(std::move(file)) {}
  using rocksdb::FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    return files_->Append(file_.get(), data);
  }
  IOStatus Truncate(uint64_t size, const IOOptions&, IODebugContext*) override {
    return files_->Truncate(file_.get(), size);
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return files_->Sync(file_.get()); }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return files_->Size(*file_); }

 private:
  const std::shared_ptr<SimFiles> files_;
  const std::shared_ptr<File> file_;
};

class Folder : public rocksdb::FSDirectory {
 public:
  Folder(std::shared_ptr<SimFiles> files, std::string name) : files_(std::move(files)), name_(std::move(name)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return files_->SyncFolder(name_); }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  const std::shared_ptr<SimFiles> files_;
  const std::string name_;
};

}  // namespace

IOStatus SimFiles::NewSequentialFile(const std::string& name, const FileOptions&,
                                     std::unique_ptr<rocksdb::FSSequentialFile>* file, IODebugContext*) {
  const std::lock_guard lock(mutex);
  if (fault == DiskFault::kReads) return Failed("open");
  const auto at = names.find(name);
  if (at == names.end()) return IOStatus::PathNotFound(name);
  *file = std::make_unique<Sequential>(shared_from_this(), at->second);
  return IOStatus::OK();
}

IOStatus SimFiles::NewRandomAccessFile(const std::string& name, const FileOptions&,
                                       std::unique_ptr<rocksdb::FSRandomAccessFile>* file, IODebugContext*) {
  const std::lock_guard lock(mutex);
  if (fault == DiskFault::kReads) return Failed("open");
  const auto at = names.find(name);
  if (at == names.end()) return IOStatus::PathNotFound(name);
  *file = std::make_unique<RandomAccess>(shared_from_this(), at->second);
  return IOStatus::OK();
}

IOStatus SimFiles::NewWritableFile(const std::string& name, const FileOptions&,
                                   std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext*) {
  const std::lock_guard lock(mutex);
  if (CannotWrite()) return Failed("create");
  auto& entry = names[name];
  entry = std::make_shared<File>();
  *file = std::make_unique<Writable>(shared_from_this(), entry);
  return IOStatus::OK();
}

IOStatus SimFiles::NewDirectory(const std::string& name, const IOOptions&,
                                std::unique_ptr<rocksdb::FSDirectory>* directory, IODebugContext*) {
  *directory = std::make_unique<Folder>(shared_from_this(), WithoutSlash(name));
  return IOStatus::OK();
}

IOStatus SimFiles::FileExists(const std::string& name, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex);
  return names.contains(name) || folders.contains(WithoutSlash(name)) ? IOStatus::OK() : IOStatus::NotFound(name);
}

IOStatus SimFiles::GetChildren(const std::string& path, const IOOptions&, std::vector<std::string>* children,
                               IODebugContext*) {
  const std::lock_guard lock(mutex);
  const std::string folder = WithoutSlash(path);
  children->clear();
  if (!folders.contains(folder)) return IOStatus::NotFound(folder);
  for (const auto& [name, file] : names) {
    if (FolderOf(name) == folder) children->push_back(name.substr(folder.size() + 1));
  }
  return IOStatus::OK();
}

IOStatus SimFiles::DeleteFile(const std::string& name, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex);
  if (CannotWrite()) return Failed("delete");
  return names.erase(name) ? IOStatus::OK() : IOStatus::PathNotFound(name);
}

IOStatus SimFiles::CreateDir(const std::string& name, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex);
  folders.insert(WithoutSlash(name));
  return IOStatus::OK();
}

IOStatus SimFiles::CreateDirIfMissing(const std::string& name, const IOOptions& options, IODebugContext* debug) {
  return CreateDir(name, options, debug);
}

// Folders stay: RocksDB makes them again anyway.
IOStatus SimFiles::DeleteDir(const std::string&, const IOOptions&, IODebugContext*) { return IOStatus::OK(); }

IOStatus SimFiles::GetFileSize(const std::string& name, const IOOptions&, uint64_t* size, IODebugContext*) {
  const std::lock_guard lock(mutex);
  const auto at = names.find(name);
  if (at == names.end()) return IOStatus::PathNotFound(name);
  *size = at->second->bytes.size();
  return IOStatus::OK();
}

IOStatus SimFiles::RenameFile(const std::string& from, const std::string& to, const IOOptions&, IODebugContext*) {
  const std::lock_guard lock(mutex);
  if (CannotWrite()) return Failed("rename");
  const auto at = names.find(from);
  if (at == names.end()) return IOStatus::PathNotFound(from);
  const std::shared_ptr<File> file = at->second;
  names.erase(at);
  names[to] = file;
  return IOStatus::OK();
}

IOStatus SimFiles::LockFile(const std::string& name, const IOOptions&, rocksdb::FileLock** lock, IODebugContext*) {
  const std::lock_guard guard(mutex);
  if (!locks.insert(name).second) return IOStatus::IOError("lock hold by current process", name);
  *lock = new Lock(name);
  return IOStatus::OK();
}

IOStatus SimFiles::UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) {
  const std::lock_guard guard(mutex);
  locks.erase(static_cast<Lock*>(lock)->name);
  delete static_cast<Lock*>(lock);
  return IOStatus::OK();
}

IOStatus SimFiles::GetFreeSpace(const std::string&, const IOOptions&, uint64_t* free, IODebugContext*) {
  const std::lock_guard lock(mutex);
  *free = fault == DiskFault::kFull ? Free() : uint64_t{1} << 40;
  return IOStatus::OK();
}

IOStatus SimFiles::IsDirectory(const std::string& path, const IOOptions&, bool* is, IODebugContext*) {
  const std::lock_guard lock(mutex);
  *is = folders.contains(WithoutSlash(path));
  return IOStatus::OK();
}

IOStatus SimFiles::Read(const File& file, uint64_t offset, size_t n, Slice* result, char* scratch) {
  const std::lock_guard lock(mutex);
  *result = Slice();
  if (fault == DiskFault::kReads) return Failed("read");
  if (offset >= file.bytes.size()) return IOStatus::OK();
  const size_t size = std::min<size_t>(n, file.bytes.size() - offset);
  std::memcpy(scratch, file.bytes.data() + offset, size);
  *result = Slice(scratch, size);
  return IOStatus::OK();
}

IOStatus SimFiles::Append(File* file, const Slice& data) {
  const std::lock_guard lock(mutex);
  if (CannotWrite()) return Failed("write");
  const size_t fits = fault == DiskFault::kFull ? std::min<uint64_t>(Free(), data.size()) : data.size();
  file->bytes.append(data.data(), fits);
  if (fits == data.size()) return IOStatus::OK();
  IOStatus full = IOStatus::NoSpace("write: simulated", "No space left on device");
  full.SetRetryable(true);  // as RocksDB's own file system says of ENOSPC
  return full;
}

IOStatus SimFiles::Truncate(File* file, uint64_t size) {
  const std::lock_guard lock(mutex);
  if (CannotWrite()) return Failed("truncate");
  file->bytes.resize(std::min<size_t>(file->bytes.size(), size));
  file->synced = std::min(file->synced, file->bytes.size());
  return IOStatus::OK();
}

IOStatus SimFiles::Sync(File* file) {
  const std::lock_guard lock(mutex);
  if (dead || fault == DiskFault::kSyncs) return Failed("fsync");
  if (fault != DiskFault::kSyncsLie) file->synced = file->bytes.size();
  return IOStatus::OK();
}

IOStatus SimFiles::SyncFolder(const std::string& folder) {
  const std::lock_guard lock(mutex);
  if (dead || fault == DiskFault::kSyncs) return Failed("fsync of a directory");
  if (fault == DiskFault::kSyncsLie) return IOStatus::OK();
  const auto gone = [&](const auto& entry) { return FolderOf(entry.first) == folder && !names.contains(entry.first); };
  std::erase_if(durable, gone);
  for (const auto& [name, file] : names) {
    if (FolderOf(name) == folder) durable[name] = file;
  }
  return IOStatus::OK();
}

size_t SimFiles::Size(const File& file) {
  const std::lock_guard lock(mutex);
  return file.bytes.size();
}

// ---- the background -----------------------------------------------------------------------------------------------

// Of one Quiesce(): a compaction that fails on a sick disk asks for another one, without end.
constexpr int kMostJobs = 30;

// RocksDB's threads: flushes run at once, because the one who asked waits for them; compactions wait for Quiesce().
class SimEnv : public rocksdb::EnvWrapper {
 public:
  explicit SimEnv(const std::shared_ptr<SimFiles>& files) : EnvWrapper(rocksdb::NewCompositeEnv(files)) {
    file_system_ = files;  // not through the old interface, which forgets what may be retried
  }

  void Schedule(void (*work)(void*), void* argument, Priority priority, void* tag, void (*forget)(void*)) override {
    Job job{this, work, argument, priority, tag, forget};
    const std::lock_guard lock(mutex_);
    if (priority != HIGH) {
      waiting_.push_back(job);
      return;
    }
    ++running_;
    target()->Schedule(&RunNow, new Job(job), priority, tag, &ForgetNow);
  }

  int UnSchedule(void* tag, Priority priority) override {
    if (priority == HIGH) return target()->UnSchedule(tag, priority);
    std::vector<Job> gone;
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(waiting_, [&](const Job& job) {
        const bool its = job.tag == tag && job.priority == priority;
        if (its) gone.push_back(job);
        return its;
      });
    }
    for (const Job& job : gone) {
      if (job.forget) job.forget(job.argument);
    }
    return static_cast<int>(gone.size());
  }

  // RocksDB waits a second after a failure, which nobody here has.
  void SleepForMicroseconds(int /*micros*/) override {}

  void Quiesce() {
    std::unique_lock lock(mutex_);
    for (int jobs = 0;; ++jobs) {
      idle_.wait(lock, [&] { return running_ == 0; });
      if (waiting_.empty() || jobs == kMostJobs) return;
      const Job job = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      job.work(job.argument);
      lock.lock();
    }
  }

 private:
  struct Job {
    SimEnv* env;
    void (*work)(void*);
    void* argument;
    Priority priority;
    void* tag;
    void (*forget)(void*);
  };
  static void RunNow(void* job) {
    const std::unique_ptr<Job> own(static_cast<Job*>(job));
    own->work(own->argument);
    own->env->Ended();
  }
  static void ForgetNow(void* job) {
    const std::unique_ptr<Job> own(static_cast<Job*>(job));
    if (own->forget) own->forget(own->argument);
    own->env->Ended();
  }
  void Ended() {
    const std::lock_guard lock(mutex_);
    --running_;
    idle_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<Job> waiting_;
  int running_ = 0;
};

// ---- the disk -----------------------------------------------------------------------------------------------------

std::shared_ptr<SimDisk> SimDisk::Make(const StoreOptions& options) {
  auto files = std::make_shared<SimFiles>();
  auto env = std::make_unique<SimEnv>(files);
  return std::shared_ptr<SimDisk>(new SimDisk(options, std::move(files), std::move(env)));
}

SimDisk::SimDisk(const StoreOptions& options, std::shared_ptr<SimFiles> files, std::unique_ptr<SimEnv> env)
    : RocksResources(options, env.get()), files_(std::move(files)), sim_env_(std::move(env)) {}

// A flush that ended may still be on its way out of the thread that ran it.
SimDisk::~SimDisk() { Quiesce(); }

rocksdb::Options SimDisk::DbOptions() const {
  constexpr int kNever = 1'000'000;
  rocksdb::Options options = RocksResources::DbOptions();
  options.level0_slowdown_writes_trigger = options.level0_stop_writes_trigger = kNever;
  return options;
}

rocksdb::Status SimDisk::Write(rocksdb::DB* db, rocksdb::WriteBatch* batch) const {
  if (fault() != DiskFault::kWrites) return RocksResources::Write(db, batch);
  if (write_errors_ignored_) return rocksdb::Status::OK();
  return rocksdb::Status::IOError("write: simulated I/O error");
}

void SimDisk::Quiesce() { sim_env_->Quiesce(); }

void SimDisk::SetFault(DiskFault fault, uint64_t room) {
  const std::lock_guard lock(files_->mutex);
  files_->fault = fault;
  if (fault != DiskFault::kNone) ++files_->faults;
  files_->capacity = files_->Used() + room;
}

DiskFault SimDisk::fault() const {
  const std::lock_guard lock(files_->mutex);
  return files_->fault;
}

uint64_t SimDisk::faults() const {
  const std::lock_guard lock(files_->mutex);
  return files_->faults;
}

void SimDisk::Kill() {
  Quiesce();
  const std::lock_guard lock(files_->mutex);
  files_->dead = true;
}

void SimDisk::Revive(bool power_cut, uint64_t random) {
  Quiesce();
  const std::lock_guard lock(files_->mutex);
  files_->dead = false;
  if (!power_cut) return;
  Random left(random);
  files_->names = files_->durable;
  for (auto& [name, file] : files_->names) {
    const uint64_t unsynced = file->bytes.size() - file->synced;
    file->bytes.resize(file->synced + left.Below(unsynced + 1));
    file->synced = file->bytes.size();
  }
}

void SimDisk::Wipe() {
  const std::lock_guard lock(files_->mutex);
  files_->names.clear();
  files_->durable.clear();
}

void SimDisk::Garble(std::string_view kind, uint64_t random) {
  const std::lock_guard lock(files_->mutex);
  Random noise(random);
  for (auto& [name, file] : files_->names) {
    if (name.find(kind) == std::string::npos) continue;
    for (char& byte : file->bytes) byte = static_cast<char>(noise.Next());
  }
}

uint64_t SimDisk::SizeOf(const std::string& folder, std::string_view kind) const {
  uint64_t size = 0;
  for (const auto& [name, bytes] : Copy()) {
    if (name.starts_with(folder) && name.find(kind) != std::string::npos) size += bytes.size();
  }
  return size;
}

void SimDisk::Flip(const std::string& folder, std::string_view kind, uint64_t at) {
  const std::lock_guard lock(files_->mutex);
  for (auto& [name, file] : files_->names) {
    if (!name.starts_with(folder) || name.find(kind) == std::string::npos) continue;
    if (at < file->bytes.size()) {
      file->bytes[at] = static_cast<char>(~file->bytes[at]);
      return;
    }
    at -= file->bytes.size();
  }
}

std::map<std::string, std::string> SimDisk::Copy() const {
  const std::lock_guard lock(files_->mutex);
  std::map<std::string, std::string> files;
  for (const auto& [name, file] : files_->names) files[name] = file->bytes;
  return files;
}

void SimDisk::Put(const std::map<std::string, std::string>& files) {
  const std::lock_guard lock(files_->mutex);
  files_->names.clear();
  for (const auto& [name, bytes] : files) {
    files_->names[name] = std::make_shared<File>(File{bytes, bytes.size()});
  }
  files_->durable = files_->names;
}

}  // namespace triaged::sim
