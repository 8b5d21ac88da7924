#include "memory/memory_backing.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/number_list.h"
#include "memory/address.h"

namespace mynah {
namespace {

Error failed(const char* call, int error) {
    return Error(fmt::format("{}: {}", call, std::strerror(error)));
}

// Writes nothing, but has every page allocated; on kernels without the advice (before 5.14) by an
// atomic addition of nothing, which cannot undo a write of somebody else.
int populate(std::byte* base, uint64_t size, uint64_t page) {
    if (madvise(base, size, MADV_POPULATE_WRITE) == 0) return 0;
    if (errno != EINVAL) return errno;
    for (uint64_t at = 0; at < size; at += page)
        std::atomic_ref(*reinterpret_cast<uint8_t*>(base + at)).fetch_add(0);
    return 0;
}

}  // namespace

Result<int> create_memory_file(const MemoryBacking& backing, uint64_t size) {
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    if (backing.huge_page != 0) {
        flags |= MFD_HUGETLB | static_cast<unsigned>(std::countr_zero(backing.huge_page))
                                   << MFD_HUGE_SHIFT;
    }
    const int fd = memfd_create("guest-memory", flags);
    if (fd < 0) return failed("memfd_create", errno);
    const auto fail = [fd](const char* call) {
        Error error = failed(call, errno);
        close(fd);
        return error;
    };
    if (ftruncate(fd, static_cast<off_t>(size)) != 0) return fail("ftruncate");
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return fail("F_ADD_SEALS");
    return fd;
}

Result<void> choose_memory_nodes(const MemoryBacking& backing, std::byte* base, uint64_t size) {
    if (backing.nodes.empty()) return {};
    constexpr unsigned kWordBits = 64;
    const uint32_t most = *std::ranges::max_element(backing.nodes);
    std::vector<uint64_t> mask(most / kWordBits + 1);
    for (const uint32_t node : backing.nodes)
        mask[node / kWordBits] |= uint64_t{1} << node % kWordBits;
    const int mode = backing.policy == MemoryBacking::Policy::kInterleave  ? MPOL_INTERLEAVE
                     : backing.policy == MemoryBacking::Policy::kPreferred ? MPOL_PREFERRED
                                                                           : MPOL_BIND;
    // The kernel reads one bit less than it is told [mbind(2), notes].
    if (syscall(SYS_mbind, base, size, mode, mask.data(), mask.size() * kWordBits + 1, 0) == 0)
        return {};
    return failed(fmt::format("mbind to node {}", format_number_list(backing.nodes)).c_str(),
                  errno);
}

Result<void> allocate_memory(const MemoryBacking& backing, std::byte* base, uint64_t size) {
    constexpr uint64_t kShare = uint64_t{1} << 30;  // bytes; with pages of 1 GiB it is one page
    constexpr unsigned kMostThreads = 16;
    const uint64_t page = backing.huge_page != 0 ? backing.huge_page : kPageSize;
    const uint64_t shares = (size + kShare - 1) / kShare;
    std::atomic<uint64_t> next{0};
    std::atomic<int> error{0};
    const auto work = [&] {
        for (uint64_t share; error == 0 && (share = next++) < shares;) {
            const uint64_t from = share * kShare;
            if (const int code = populate(base + from, std::min(kShare, size - from), page))
                error = code;
        }
    };
    const unsigned threads = static_cast<unsigned>(std::min<uint64_t>(
        {shares, kMostThreads, std::max(1u, std::thread::hardware_concurrency())}));
    std::vector<std::jthread> helpers;
    for (unsigned i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
    helpers.clear();
    if (error != 0) return failed("it cannot be allocated beforehand", error);
    return {};
}

}  // namespace mynah
