#include "control/machine_place.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace mynah {
namespace {

// A lock that goes with the open file. Whether it is held can be asked without taking it.
constexpr struct flock kWholeFile {
    .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0, .l_pid = 0
};

std::string lock_path(const std::string& folder) { return folder + "/lock"; }

// A directory that nobody else can look into, or put something into.
Result<void> make_private_directory(const std::string& path) {
    const auto failed = [&](const char* why) { return Error(fmt::format("{}: {}", path, why)); };
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failed(std::strerror(errno));
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) return failed(std::strerror(errno));
    if (!S_ISDIR(status.st_mode)) return failed("expected a directory");
    if (status.st_uid != geteuid() || (status.st_mode & 077) != 0)
        return failed("expected a directory that only this user can enter");
    return {};
}

enum class Take { kTaken, kHeld, kGone, kFailed };

// kGone: the folder, or the lock, was removed meanwhile by a machine that ended.
Take take_lock(const std::string& folder, Fd& lock) {
    const std::string path = lock_path(folder);
    lock = Fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock.valid()) return errno == ENOENT ? Take::kGone : Take::kFailed;
    struct flock wanted = kWholeFile;
    if (fcntl(lock.get(), F_OFD_SETLK, &wanted) != 0)
        return errno == EAGAIN || errno == EACCES ? Take::kHeld : Take::kFailed;
    struct stat ours {
    }, there{};
    if (fstat(lock.get(), &ours) != 0) return Take::kFailed;
    if (stat(path.c_str(), &there) != 0 || ours.st_ino != there.st_ino) return Take::kGone;
    return Take::kTaken;
}

bool is_running(const std::string& folder) {
    const Fd lock(open(lock_path(folder).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct flock found = kWholeFile;
    return lock.valid() && fcntl(lock.get(), F_OFD_GETLK, &found) == 0 && found.l_type != F_UNLCK;
}

}  // namespace

std::string runtime_directory() {
    const char* const base = std::getenv("XDG_RUNTIME_DIR");
    // A relative path there is invalid and to be ignored [XDG base directories].
    std::error_code error;
    if (base != nullptr && base[0] == '/' && std::filesystem::is_directory(base, error))
        return std::string(base) + "/mynah";
    return fmt::format("/tmp/mynah-{}", geteuid());
}

std::string control_path(const std::string& runtime, const std::string& name) {
    return runtime + "/" + name + "/control";
}

std::string record_path(const std::string& runtime, const std::string& name) {
    return runtime + "/" + name + "/record";
}

std::vector<std::string> running_machines(const std::string& runtime) {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator at(runtime, error), end; !error && at != end;
         at.increment(error)) {
        if (is_running(at->path().string())) names.push_back(at->path().filename().string());
    }
    std::ranges::sort(names);
    return names;
}

Result<MachinePlace> MachinePlace::claim(const std::string& runtime, const std::string& name) {
    const std::string folder = runtime + "/" + name;
    const auto failed = [&](const std::string& why) {
        return Error(fmt::format("--name {}: {}", name, why));
    };
    constexpr int kAttempts = 100;
    for (int i = 0; i < kAttempts; ++i) {
        for (const std::string& directory : {runtime, folder}) {
            if (const auto made = make_private_directory(directory); !made)
                return failed(made.error().message());
        }
        Fd lock;
        switch (take_lock(folder, lock)) {
            case Take::kTaken:
                return MachinePlace(folder, std::move(lock));
            case Take::kHeld:
                return failed("a machine of this name is running already");
            case Take::kFailed:
                return failed(fmt::format("{}: {}", lock_path(folder), std::strerror(errno)));
            case Take::kGone:
                break;
        }
    }
    return failed(fmt::format("{}: it keeps being removed", folder));
}

MachinePlace::~MachinePlace() {
    if (!lock_.valid()) return;
    if (!record_kept_) unlink(record_path().c_str());
    unlink(lock_path(folder_).c_str());
    rmdir(folder_.c_str());  // stays if somebody took the name meanwhile
}

}  // namespace mynah
