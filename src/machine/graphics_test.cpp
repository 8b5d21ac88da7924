#include "machine/graphics.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace mynah {
namespace {

using ::testing::HasSubstr;

class NoPicture final : public DisplaySource {
  public:
    void refresh(Surface&, std::vector<Rect>&) override {}
};

class NoInput final : public InputSink {
  public:
    void key(uint16_t, bool) override {}
    void point(const Place&) override {}
    void button(PointerButton, bool) override {}
    void wheel(int, int) override {}
};

class GraphicsTest : public ::testing::Test {
  protected:
    void SetUp() override { config.graphics.vnc = true; }
    Result<std::unique_ptr<VncServer>> open() { return open_graphics(config, screen, input); }
    std::string refusal() {
        const auto result = open();
        return result.ok() ? "" : result.error().message();
    }

    MachineConfig config;
    NoPicture picture;
    Screen screen{picture};
    NoInput input;
};

TEST_F(GraphicsTest, WithoutMoreItIsAPortOfTheHostsOwn) {
    const auto first = open(), second = open();
    ASSERT_TRUE(first.ok() && second.ok());
    EXPECT_GE(first.value()->port(), 5900);
    EXPECT_LT(second.value()->port(), 6000);
    EXPECT_NE(first.value()->port(), second.value()->port());
    EXPECT_EQ(first.value()->web_port(), 0);
    const std::string places = graphics_places(config.graphics, *first.value());
    EXPECT_EQ(places, fmt::format("screen: vnc at 127.0.0.1:{}\n", first.value()->port()));
}

TEST_F(GraphicsTest, ASocketAloneOpensNoPort) {
    const auto path =
        std::filesystem::temp_directory_path() / ("graphics-" + std::to_string(getpid()) + ".sock");
    config.graphics.socket = path;
    {
        const auto server = open();
        ASSERT_TRUE(server.ok());
        EXPECT_EQ(server.value()->port(), 0);
        EXPECT_TRUE(std::filesystem::is_socket(path));
        EXPECT_EQ(graphics_places(config.graphics, *server.value()),
                  fmt::format("screen: vnc at {}\n", path.string()));
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(GraphicsTest, ErrorsNameTheOption) {
    config.graphics.listen = "0.0.0.0";
    EXPECT_THAT(refusal(), HasSubstr("--graphics vnc: 0.0.0.0 can be reached from other hosts"));
    config.graphics.listen = "here";
    config.graphics.password = "x";
    EXPECT_THAT(refusal(), HasSubstr("--graphics vnc: 'here' is not an IPv4 or IPv6 address"));
    config.graphics.listen.clear();
    config.graphics.port = 0;
    const auto server = open();
    ASSERT_TRUE(server.ok());
    config.graphics.port = server.value()->port();
    EXPECT_THAT(refusal(), HasSubstr("Address already in use"));
}

}  // namespace
}  // namespace mynah
