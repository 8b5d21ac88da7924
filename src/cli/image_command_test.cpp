#include "cli/image_command.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "backend/block/image/open_image.h"
#include "cli/exit_status.h"

namespace mynah {
namespace {

class ImageCommand : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = ::testing::TempDir() + "mynah-image-command-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    std::string at(const std::string& name) const { return directory_ / name; }
    // The exit status; what was said is in said_.
    int run(const std::vector<std::string>& words) {
        const std::vector<std::string_view> views(words.begin(), words.end());
        ::testing::internal::CaptureStdout();
        ::testing::internal::CaptureStderr();
        const int status = image_command(views);
        said_ = ::testing::internal::GetCapturedStdout();
        said_ += ::testing::internal::GetCapturedStderr();
        return status;
    }
    static std::string bytes_of(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    static void write_at(const std::string& path, uint64_t offset, const std::string& bytes) {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(offset));
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }
    static std::unique_ptr<DiskImage> open(const std::string& path) {
        ImageOpenOptions options;
        options.path = path;
        auto image = open_image(options);
        EXPECT_TRUE(image.ok()) << image.error().message();
        return image.ok() ? image.take_value() : nullptr;
    }

    std::filesystem::path directory_;
    std::string said_;
};

// Old images do not record the format of what they are over: then it is raw, and an image that is
// taken for raw is destroyed.
TEST_F(ImageCommand, CommitDoesNotTakeAnImageForRaw) {
    ASSERT_EQ(run({"create", "-f", "qcow2", at("below"), "1M"}), kExitOk) << said_;
    ASSERT_EQ(run({"create", "-f", "qcow2", "-b", "below", "-F", "qcow2", at("top")}), kExitOk)
        << said_;
    // The header extension that names the format becomes one that nobody knows.
    std::string top = bytes_of(at("top"));
    const size_t extension = top.find(std::string("\xe2\x79\x2a\xca", 4));
    ASSERT_NE(extension, std::string::npos);
    write_at(at("top"), extension, std::string("\x12\x34\x56\x78", 4));
    const std::string before = bytes_of(at("below"));
    EXPECT_EQ(run({"commit", at("top")}), kExitError);
    EXPECT_NE(said_.find("looks like a qcow2 image"), std::string::npos) << said_;
    EXPECT_EQ(bytes_of(at("below")), before);
}

TEST_F(ImageCommand, CreateDoesNotEmptyADataFileUnlessForced) {
    std::ofstream(at("precious")) << "precious";
    const std::string option = "data_file=" + at("precious");
    EXPECT_EQ(run({"create", "-f", "qcow2", "-o", option, at("new"), "1M"}), kExitError);
    EXPECT_EQ(bytes_of(at("precious")), "precious");
    EXPECT_EQ(run({"create", "--force", "-f", "qcow2", "-o", option, at("new"), "1M"}), kExitOk)
        << said_;
    EXPECT_EQ(std::filesystem::file_size(at("precious")), 1u << 20);
}

// What a guest writes goes to the files that the operator named or that lie beside them.
TEST_F(ImageCommand, AnImageDoesNotChooseADataFileElsewhere) {
    std::filesystem::create_directory(at("elsewhere"));
    const std::string data = at("elsewhere/data");
    ASSERT_EQ(run({"create", "-f", "qcow2", "-o", "data_file=" + data, at("image"), "1M"}), kExitOk)
        << said_;
    ImageOpenOptions options;
    options.path = at("image");
    const auto refused = open_image(options);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message().find("is not beside it; expected data_file="),
              std::string::npos)
        << refused.error().message();
    options.data_file = data;
    EXPECT_TRUE(open_image(options).ok());
}

// Counts that call the header's cluster free must not make it a guest's: it could then name any file
// of the host as the backing file of the next start.
TEST_F(ImageCommand, TheHeaderIsNeverAllocated) {
    ASSERT_EQ(run({"create", "-f", "qcow2", at("image"), "64M"}), kExitOk) << said_;
    const std::string image = bytes_of(at("image"));
    const auto big = [&image](size_t offset) {
        uint64_t value = 0;
        for (size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<uint8_t>(image[offset + i]);
        return value;
    };
    const uint64_t table = big(48) , block = big(table);
    write_at(at("image"), block, std::string(16, '\0'));  // the first eight clusters are free
    {
        const auto disk = open(at("image"));
        ASSERT_NE(disk, nullptr);
        std::vector<std::byte> bytes(4 << 20, std::byte{0x51});
        (void)disk->write(0, bytes);
        (void)disk->flush();
    }
    const std::string after = bytes_of(at("image"));
    EXPECT_EQ(after.substr(0, 104), image.substr(0, 104));
    EXPECT_EQ(after.substr(table, 8), image.substr(table, 8));
}

// Its tables are at its end, so it must have one.
TEST_F(ImageCommand, AStreamOfZeroesIsComplete) {
    ASSERT_EQ(run({"create", "-f", "raw", at("zero"), "1M"}), kExitOk) << said_;
    ASSERT_EQ(run({"convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized",
                   at("zero"), at("stream")}),
              kExitOk)
        << said_;
    const std::string stream = bytes_of(at("stream"));
    ASSERT_GT(stream.size(), 1024u);
    EXPECT_EQ(stream.substr(stream.size() - 1024, 4), "KDMV");  // the footer, before the end marker
    EXPECT_EQ(run({"compare", "-f", "raw", "-F", "vmdk", at("zero"), at("stream")}), kExitOk)
        << said_;
}

}  // namespace
}  // namespace mynah
