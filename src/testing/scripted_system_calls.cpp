#include "testing/scripted_system_calls.h"

#include <cerrno>

namespace mynah::testing {

int ScriptedSystemCalls::new_fd(const std::string& what) {
    fds_[next_fd_] = what;
    return next_fd_++;
}

unsigned ScriptedSystemCalls::count(unsigned long request) const {
    const auto found = counts_.find(request);
    return found == counts_.end() ? 0 : found->second;
}

std::vector<std::string> ScriptedSystemCalls::open_fds() const {
    std::vector<std::string> all;
    for (const auto& [fd, what] : fds_) all.push_back(what);
    return all;
}

int ScriptedSystemCalls::open(const char* path, int) {
    const auto found = nodes_.find(path);
    if (found == nodes_.end()) return -ENOENT;
    return found->second < 0 ? found->second : new_fd(path);
}

int ScriptedSystemCalls::close(int fd) { return fds_.erase(fd) == 0 ? -EBADF : 0; }

int ScriptedSystemCalls::ioctl(int fd, unsigned long request, uintptr_t argument) {
    ++counts_[request];
    if (fds_.count(fd) == 0) return -EBADF;
    const auto found = handlers_.find(request);
    return found == handlers_.end() ? -ENOTTY : found->second(fd, argument);
}

void* ScriptedSystemCalls::mmap(size_t bytes, int, int, int fd, int64_t, int& error) {
    error = fds_.count(fd) == 0 ? -EBADF : 0;
    if (error != 0) return nullptr;
    std::vector<std::byte>& memory = mappings_[fd];
    if (memory.size() < bytes) memory.resize(bytes);
    return memory.data();
}

int ScriptedSystemCalls::munmap(void*, size_t) { return 0; }

int64_t ScriptedSystemCalls::read(int fd, void*, size_t) {
    return fds_.count(fd) == 0 ? -EBADF : -EAGAIN;
}

int64_t ScriptedSystemCalls::write(int fd, const void*, size_t bytes) {
    return fds_.count(fd) == 0 ? -EBADF : static_cast<int64_t>(bytes);
}

}  // namespace mynah::testing
