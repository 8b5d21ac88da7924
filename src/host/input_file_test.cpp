#include "host/input_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace mynah {
namespace {

class InputFileTest : public testing::Test {
 protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "input-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    std::string file(const std::string& name, const std::string& content) {
        std::ofstream(directory_ / name) << content;
        return directory_ / name;
    }
    static std::string failure(const std::string& path, uint64_t limit = 1000) {
        const auto opened = InputFile::open(path, "--kernel x", limit);
        return opened ? "" : opened.error().message();
    }
    std::filesystem::path directory_;
};

TEST_F(InputFileTest, ReadsTheWholeFile) {
    auto opened = InputFile::open(file("a", "content"), "--kernel a", 1000);
    ASSERT_TRUE(opened);
    const auto content = opened.value().read();
    ASSERT_TRUE(content);
    ASSERT_EQ(content.value().bytes().size(), 7u);
    EXPECT_EQ(std::memcmp(content.value().bytes().data(), "content", 7), 0);
}

TEST_F(InputFileTest, StaysTheSameFileWhenItsNameGoes) {
    const std::string path = file("a", "content");
    auto opened = InputFile::open(path, "--kernel a", 1000);
    ASSERT_TRUE(opened);
    std::filesystem::remove(path);
    EXPECT_TRUE(opened.value().read());
}

TEST_F(InputFileTest, ErrorsNameTheOption) {
    using testing::HasSubstr;
    EXPECT_THAT(failure(directory_ / "missing"), HasSubstr("--kernel x: cannot be opened"));
    EXPECT_THAT(failure(directory_), HasSubstr("is a directory"));
    EXPECT_THAT(failure(file("empty", "")), HasSubstr("is empty"));
    EXPECT_THAT(failure("/dev/null"), HasSubstr("not a regular file"));
    EXPECT_THAT(failure(file("large", std::string(2000, 'x'))), HasSubstr("expected at most"));
    const std::string fifo = directory_ / "fifo";
    ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_THAT(failure(fifo), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace mynah
