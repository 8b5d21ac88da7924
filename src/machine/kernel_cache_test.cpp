#include "machine/kernel_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

namespace mynah {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

Bytes pattern(size_t size, unsigned seed) {
    Bytes bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 31 + seed) >> 2);
    return bytes;
}

UnpackedBytes unpacked(const Bytes& content) {
    UnpackedBytes bytes(content.size());
    std::memcpy(bytes.all().data(), content.data(), content.size());
    return bytes;
}

class KernelCacheTest : public testing::Test {
  protected:
    KernelCacheTest() {
        std::string path = (fs::temp_directory_path() / "kernel-cache-XXXXXX").string();
        root_ = mkdtemp(path.data());
        directory_ = root_ / "made" / "anew";
    }
    ~KernelCacheTest() override { fs::remove_all(root_); }

    // The writer is done when the cache is gone.
    void keep(const Bytes& packed, const Bytes& content, uint64_t largest = 1u << 20) {
        KernelCache(directory_, largest).keep(packed, unpacked(content));
    }
    bool finds(const Bytes& packed, const Bytes& content) {
        const auto found = KernelCache(directory_, 1u << 20).find(packed);
        return found && found->bytes().size() == content.size() &&
               std::memcmp(found->bytes().data(), content.data(), content.size()) == 0;
    }
    std::vector<fs::path> files() {
        std::vector<fs::path> found;
        if (!fs::exists(directory_)) return found;
        for (const auto& entry : fs::directory_iterator(directory_)) found.push_back(entry.path());
        return found;
    }
    void change(const fs::path& file, uint64_t at) {
        std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
        stream.seekg(static_cast<std::streamoff>(at));
        const char old = static_cast<char>(stream.get());
        stream.seekp(static_cast<std::streamoff>(at));
        stream.put(static_cast<char>(old ^ 4));
    }

    fs::path root_, directory_;
    const Bytes packed_ = pattern(1000, 1), content_ = pattern(70001, 2);
};

TEST_F(KernelCacheTest, FindsWhatWasKept) {
    EXPECT_FALSE(finds(packed_, content_));
    keep(packed_, content_);
    EXPECT_TRUE(finds(packed_, content_));
    EXPECT_FALSE(finds(pattern(1000, 9), content_));
    EXPECT_FALSE(finds(pattern(999, 1), content_));
}

TEST_F(KernelCacheTest, NobodyElseCanReadOrWrite) {
    keep(packed_, content_);
    struct stat info;
    ASSERT_EQ(stat(directory_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
    ASSERT_EQ(files().size(), 1u);
    ASSERT_EQ(stat(files()[0].c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(KernelCacheTest, DamageAnywhereIsNoticed) {
    keep(packed_, content_);
    const auto file = files().at(0);
    const uint64_t size = fs::file_size(file);
    for (const uint64_t at : {uint64_t{0}, uint64_t{9}, uint64_t{17}, uint64_t{25}, uint64_t{40},
                              uint64_t{1031}, uint64_t{1032}, uint64_t{5000}, size - 1}) {
        change(file, at);
        EXPECT_FALSE(finds(packed_, content_)) << at;
        change(file, at);
        EXPECT_TRUE(finds(packed_, content_));
    }
    fs::resize_file(file, size - 1);
    EXPECT_FALSE(finds(packed_, content_));
    fs::resize_file(file, 5);
    EXPECT_FALSE(finds(packed_, content_));
    // It is written again.
    keep(packed_, content_);
    EXPECT_TRUE(finds(packed_, content_));
}

TEST_F(KernelCacheTest, WhatOthersMayWriteIsNotUsed) {
    keep(packed_, content_);
    chmod(files().at(0).c_str(), 0622);
    EXPECT_FALSE(finds(packed_, content_));
    chmod(files().at(0).c_str(), 0600);
    EXPECT_TRUE(finds(packed_, content_));
    chmod(directory_.c_str(), 0777);
    EXPECT_FALSE(finds(packed_, content_));
}

TEST_F(KernelCacheTest, LinksAreNotFollowed) {
    keep(packed_, content_);
    const auto file = files().at(0), elsewhere = root_ / "elsewhere";
    fs::rename(file, elsewhere);
    fs::create_symlink(elsewhere, file);
    EXPECT_FALSE(finds(packed_, content_));
}

TEST_F(KernelCacheTest, WhatWasUsedLongestAgoGivesWay) {
    const Bytes small = pattern(40000, 5);
    constexpr uint64_t kRoomForTwo = 100000;
    keep(pattern(100, 1), small, kRoomForTwo);
    keep(pattern(100, 2), small, kRoomForTwo);
    ASSERT_EQ(files().size(), 2u);
    const timespec past[2] = {{1000, 0}, {1000, 0}};
    for (const auto& file : files()) utimensat(AT_FDCWD, file.c_str(), past, 0);
    EXPECT_TRUE(finds(pattern(100, 1), small));  // and so is the younger
    keep(pattern(100, 3), small, kRoomForTwo);
    EXPECT_EQ(files().size(), 2u);
    EXPECT_TRUE(finds(pattern(100, 1), small));
    EXPECT_FALSE(finds(pattern(100, 2), small));
    EXPECT_TRUE(finds(pattern(100, 3), small));
    // What can never fit removes nothing.
    keep(pattern(100, 4), pattern(kRoomForTwo, 1), kRoomForTwo);
    EXPECT_EQ(files().size(), 2u);
}

TEST_F(KernelCacheTest, UnfinishedFilesAreNotReadAndGoOneDay) {
    keep(packed_, content_);
    const auto left = directory_ / ".kernel-new-abcdef";
    fs::copy_file(files().at(0), left);
    const timespec past[2] = {{1000, 0}, {1000, 0}};
    keep(pattern(10, 1), packed_);
    EXPECT_TRUE(fs::exists(left));
    utimensat(AT_FDCWD, left.c_str(), past, 0);
    keep(pattern(10, 1), packed_);
    EXPECT_FALSE(fs::exists(left));
}

TEST_F(KernelCacheTest, ADirectoryThatCannotBeMadeIsNoError) {
    std::ofstream(root_ / "made") << "a file";
    keep(packed_, content_);
    EXPECT_FALSE(finds(packed_, content_));
}

}  // namespace
}  // namespace mynah
