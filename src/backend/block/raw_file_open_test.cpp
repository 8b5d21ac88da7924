#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "backend/block/raw_file.h"

namespace mynah {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A directory of its own for each test.
class RawFileOpen : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mynah-raw-file-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        directory_ = name;
    }
    void TearDown() override {
        const std::string command = "rm -rf " + directory_;
        ASSERT_EQ(std::system(command.c_str()), 0);
    }
    std::string file(const std::string& content, const char* name = "disk.img") {
        const std::string path = directory_ + "/" + name;
        std::ofstream(path, std::ios::binary) << content;
        return path;
    }
    Result<std::unique_ptr<RawFile>> open(const std::string& path, bool read_only = false) {
        RawFileOptions options;
        options.path = path;
        options.read_only = read_only;
        return RawFile::open(options, executor_);
    }
    // The message without the option and path it must begin with.
    std::string complaint(const std::string& path, bool read_only = false) {
        const auto result = open(path, read_only);
        if (result.ok()) return "opened";
        EXPECT_THAT(result.error().message(), StartsWith("--disk path=" + path + ": "));
        EXPECT_EQ(result.error().message().find('\n'), std::string::npos);
        return result.error().message().substr(14 + path.size());
    }

    std::string directory_;
    InlineExecutor executor_;
};

TEST_F(RawFileOpen, MeasuresInWholeBlocks) {
    const auto disk = open(file(std::string(3 * 512, 'x')));
    ASSERT_TRUE(disk.ok()) << disk.error().message();
    EXPECT_EQ(disk.value()->geometry().size, 3u * 512);
    EXPECT_EQ(disk.value()->geometry().logical_block_size, 512u);
    EXPECT_FALSE(disk.value()->geometry().read_only);
    EXPECT_TRUE(disk.value()->geometry().can_discard);
}

TEST_F(RawFileOpen, AMissingFileIsNotMade) {
    const std::string path = directory_ + "/none.img";
    EXPECT_THAT(complaint(path), HasSubstr("no such file; expected a disk image"));
    EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST_F(RawFileOpen, AnEmptyPathIsNoFile) {
    const auto result = open("");
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().message(), "--disk path=: names no file; expected a disk image");
}

TEST_F(RawFileOpen, WhatIsNoDiskIsRefusedByKind) {
    EXPECT_THAT(complaint(directory_), HasSubstr("is a directory"));
    EXPECT_THAT(complaint("/dev/null"), HasSubstr("is a character device"));
    const std::string pipe = directory_ + "/pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_THAT(complaint(pipe), HasSubstr("is a pipe"));  // and does not wait for a writer
    EXPECT_THAT(complaint(file("x") + "/below"), HasSubstr("cannot be opened"));
}

TEST_F(RawFileOpen, TooShortFilesAreRefused) {
    EXPECT_THAT(complaint(file(std::string(3 * 512 + 511, 'x'))), HasSubstr("not one cut short"));
    EXPECT_THAT(complaint(file("")), HasSubstr("is empty; expected a disk of at least 512 bytes"));
    EXPECT_THAT(complaint(file("short")),
                HasSubstr("has 5 bytes, which are no whole number of blocks"));
}

TEST_F(RawFileOpen, ImagesOfOtherFormatsAreRefusedUnlessRawWasAskedFor) {
    const std::string path = file("QFI\xfb" + std::string(1020, '\0'));
    EXPECT_THAT(complaint(path), HasSubstr("is a qcow2 image; expected a raw disk"));
    RawFileOptions options;
    options.path = path;
    options.format_given = true;
    EXPECT_TRUE(RawFile::open(options, executor_).ok());
    EXPECT_THAT(complaint(file("KDMV" + std::string(1020, '\0'))), HasSubstr("vmdk"));
    EXPECT_THAT(complaint(file("vhdxfile" + std::string(1020, '\0'))), HasSubstr("vhdx"));
    EXPECT_THAT(complaint(file("conectix" + std::string(1020, '\0'))), HasSubstr("vhd"));
    EXPECT_THAT(complaint(file("<<< Oracle" + std::string(1020, '\0'))), HasSubstr("vdi"));
}

TEST_F(RawFileOpen, OneWriterExcludesEveryOther) {
    const std::string path = file(std::string(1024, 'x'));
    const auto first = open(path);
    ASSERT_TRUE(first.ok());
    EXPECT_THAT(complaint(path), HasSubstr("is in use by another machine"));
    EXPECT_THAT(complaint(path, true), HasSubstr("is being written by another machine"));
}

TEST_F(RawFileOpen, ReadersShareAndExcludeWriters) {
    const std::string path = file(std::string(1024, 'x'));
    {
        const auto first = open(path, true);
        const auto second = open(path, true);
        ASSERT_TRUE(first.ok() && second.ok());
        EXPECT_TRUE(first.value()->geometry().read_only);
        EXPECT_FALSE(first.value()->geometry().can_discard);
        EXPECT_THAT(complaint(path), HasSubstr("is in use by another machine"));
    }
    EXPECT_TRUE(open(path).ok());  // the locks went with the disks
}

TEST_F(RawFileOpen, AFileThatMayNotBeWrittenNeedsReadOnly) {
    if (geteuid() == 0) GTEST_SKIP() << "root may write anything";
    const std::string path = file(std::string(1024, 'x'));
    ASSERT_EQ(chmod(path.c_str(), 0400), 0);
    EXPECT_THAT(complaint(path), HasSubstr("may not be written by this user; with readonly=on"));
    EXPECT_TRUE(open(path, true).ok());
}

TEST_F(RawFileOpen, RefusalsLeaveTheFileAsItWas) {
    const std::string path = file("QFI\xfb" + std::string(700, 'q'));
    struct stat before {
    }, after{};
    ASSERT_EQ(stat(path.c_str(), &before), 0);
    EXPECT_FALSE(open(path).ok());
    ASSERT_EQ(stat(path.c_str(), &after), 0);
    EXPECT_EQ(before.st_size, after.st_size);
    EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

TEST_F(RawFileOpen, TheFileIsNotPassedToPrograms) {
    const auto disk = open(file(std::string(1024, 'x')));
    ASSERT_TRUE(disk.ok());
    int open_files = 0;
    for (int fd = 3; fd < 64; ++fd) {
        const int flags = fcntl(fd, F_GETFD);
        char target[64] = {};
        const std::string link = "/proc/self/fd/" + std::to_string(fd);
        if (flags < 0 || readlink(link.c_str(), target, sizeof target - 1) <= 0) continue;
        if (std::string(target).find("disk.img") == std::string::npos) continue;
        ++open_files;
        EXPECT_NE(flags & FD_CLOEXEC, 0);
    }
    EXPECT_EQ(open_files, 1);
}

}  // namespace
}  // namespace mynah
