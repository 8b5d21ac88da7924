#include "memory/memory_backing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "memory/discard.h"
#include "memory/guest_memory.h"

namespace mynah {
namespace {

constexpr uint64_t kHuge = 2 << 20, kRam = 2 * kHuge;
constexpr GuestMemory::Range kRange[] = {{GuestPhys{0}, kRam}};

unsigned resident(const std::byte* base, uint64_t size) {
    std::vector<unsigned char> pages(size / kPageSize);
    EXPECT_EQ(mincore(const_cast<std::byte*>(base), size, pages.data()), 0);
    unsigned count = 0;
    for (const unsigned char page : pages) count += page & 1u;
    return count;
}

TEST(MemoryBackingTest, PagesAreAllocatedBeforehandOrWhenTheyAreTouched) {
    auto memory = GuestMemory::create(kRange, kPageSize).take_value();
    EXPECT_EQ(resident(memory->host(GuestPhys{0}, kRam), kRam), 0u);
    memory = GuestMemory::create(kRange, kPageSize, {}, {.preallocate = true}).take_value();
    EXPECT_EQ(resident(memory->host(GuestPhys{0}, kRam), kRam), kRam / kPageSize);
    EXPECT_EQ(resident(memory->take_block(kPageSize).host, kPageSize), 0u);
    EXPECT_EQ(memory->load<uint8_t>(GuestPhys{kRam - 1}), 0);
}

TEST(MemoryBackingTest, PagesComeFromTheNodes) {
    using enum MemoryBacking::Policy;
    for (const auto& [policy, expected] : {std::pair{kBind, MPOL_BIND},
                                           {kInterleave, MPOL_INTERLEAVE},
                                           {kPreferred, MPOL_PREFERRED}}) {
        auto memory = GuestMemory::create(kRange, 0, {},
                                          {.preallocate = true, .nodes = {0}, .policy = policy});
        if (!memory && memory.error().message().find("not implemented") != std::string::npos)
            GTEST_SKIP() << "this host's kernel knows no memory nodes";
        ASSERT_TRUE(memory) << memory.error().message();
        int mode = -1;
        uint64_t nodes[16] = {};
        ASSERT_EQ(syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8,
                          memory.value()->host(GuestPhys{0}, kRam), MPOL_F_ADDR),
                  0);
        EXPECT_EQ(mode, expected);
        EXPECT_EQ(nodes[0], 1u);
    }
}

TEST(MemoryBackingTest, ANodeThatIsNotThereIsNamed) {
    const auto memory = GuestMemory::create(kRange, 0, {}, {.nodes = {900}});
    ASSERT_FALSE(memory);
    EXPECT_THAT(memory.error().message(), testing::HasSubstr("mbind to node 900"));
}

// Where the host has none, what the kernel says must reach the user.
TEST(MemoryBackingTest, HugePagesHoldRamAndUsualOnesTheBlocks) {
    auto made = GuestMemory::create(kRange, 2 * kPageSize, {}, {.huge_page = kHuge});
    uint64_t free = 0;
    std::ifstream("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") >> free;
    if (!made) {
        EXPECT_THAT(made.error().message(), testing::HasSubstr("4 MiB of guest memory: "));
        EXPECT_LT(free, 2u + 2u);  // others may have taken some meanwhile
        GTEST_SKIP() << "no huge pages: " << made.error().message();
    }
    const auto memory = made.take_value();
    std::byte* const ram = memory->host(GuestPhys{0}, kRam);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(ram) % kHuge, 0u);
    const GuestMemory::Block block = memory->take_block(kPageSize);
    ASSERT_TRUE(memory->fill(GuestPhys{0}, std::byte{7}, kRam));
    block.host[0] = std::byte{8};
    EXPECT_FALSE(discard_memory(*memory, GuestPhys{0}, kHuge));

    // Whoever maps the pieces sees the same.
    const auto pieces = memory->pieces();
    ASSERT_EQ(pieces.size(), 2u);
    EXPECT_EQ(pieces[0].size, kRam);
    EXPECT_EQ(pieces[1].offset, kRam);
    EXPECT_EQ(memory->file_place(block.host).fd, pieces[1].fd);
    for (const auto& [piece, value] : {std::pair{pieces[0], 7}, {pieces[1], 8}}) {
        void* const again = mmap(nullptr, piece.size, PROT_READ, MAP_SHARED, piece.fd,
                                 static_cast<off_t>(piece.fd_offset));
        ASSERT_NE(again, MAP_FAILED);
        EXPECT_EQ(static_cast<const uint8_t*>(again)[0], value);
        munmap(again, piece.size);
    }
}

}  // namespace
}  // namespace mynah
