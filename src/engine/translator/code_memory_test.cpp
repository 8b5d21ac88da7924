#include "engine/translator/code_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

namespace mynah::translator {
namespace {

// Rights of the mapping that holds an address, such as "r-xs".
std::string rights_at(const void* address) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        uintptr_t begin = 0, end = 0;
        char dash = 0;
        std::string rights;
        std::istringstream(line) >> std::hex >> begin >> dash >> end >> rights;
        const auto at = reinterpret_cast<uintptr_t>(address);
        if (begin <= at && at < end) return rights;
    }
    return "";
}

TEST(CodeMemory, WhatIsWrittenIsExecutedElsewhere) {
    const auto memory = CodeMemory::create(10000).take_value();
    EXPECT_EQ(memory->size(), 12288u);
    constexpr unsigned char kCode[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov eax, 42; ret
    std::memcpy(memory->write_at(8192), kCode, sizeof kCode);
    const auto run = reinterpret_cast<int (*)()>(
        reinterpret_cast<uintptr_t>(memory->execute_at(8192)));
    EXPECT_EQ(run(), 42);
    // And changed under it.
    memory->write_at(8192)[1] = std::byte{43};
    EXPECT_EQ(run(), 43);
}

TEST(CodeMemory, IsNeverWritableAndExecutableAtOneAddress) {
    const auto memory = CodeMemory::create(1u << 16).take_value();
    EXPECT_EQ(rights_at(memory->write_at(0)), "rw-s");
    EXPECT_EQ(rights_at(memory->write_at(memory->size() - 1)), "rw-s");
    EXPECT_EQ(rights_at(memory->execute_at(0)), "r-xs");
    EXPECT_EQ(rights_at(memory->execute_at(memory->size() - 1)), "r-xs");
}

TEST(CodeMemory, KnowsItsAddresses) {
    const auto memory = CodeMemory::create(8192).take_value();
    EXPECT_TRUE(memory->contains(memory->execute_at(0)));
    EXPECT_TRUE(memory->contains(memory->execute_at(8191)));
    EXPECT_FALSE(memory->contains(memory->execute_at(0) + 8192));
    EXPECT_FALSE(memory->contains(memory->write_at(0)));
    EXPECT_EQ(memory->writable(memory->execute_at(100)), memory->write_at(100));
}

TEST(CodeMemory, DiscardsWholePagesOnly) {
    const auto memory = CodeMemory::create(3 * 4096).take_value();
    for (size_t i = 0; i < memory->size(); ++i) *memory->write_at(i) = std::byte{1};
    memory->discard(5000);
    EXPECT_EQ(*memory->execute_at(4096), std::byte{1});
    EXPECT_EQ(*memory->execute_at(8191), std::byte{1});
    EXPECT_EQ(*memory->execute_at(8192), std::byte{0});
    EXPECT_EQ(*memory->execute_at(3 * 4096 - 1), std::byte{0});
    memory->discard(memory->size());
}

}  // namespace
}  // namespace mynah::translator
